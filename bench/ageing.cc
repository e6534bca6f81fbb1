// The file's size, and what it is made of, while it is overwritten at random: with no reader, with one held on the first
// snapshot, or with one held there by another process.
//
//   bench_ageing ENGINE DIRECTORY [--entries N] [--overwrites N] [--report-every N] [--per-transaction N]
//                [--reader none|held|elsewhere] [--sync lazy|durable] [--csv FILE]
//
// Entries of 8 + 100 bytes, loaded in order. durable: one sync a commit, since it is the sizes that count here.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "compare/disk.h"
#include "engine.h"

namespace bench {

void Die(const char* what, const char* why) {
  std::fprintf(stderr, "bench_ageing: %s: %s\n", what, why);
  std::exit(1);
}

namespace {

struct Options {
  std::string engine, directory;
  uint64_t entries = 1000000;
  uint64_t overwrites = 10000000;
  uint64_t report_every = 1000000;
  uint64_t per_txn = 100;
  std::string reader = "none";
  Sync sync = Sync::kLazy;
  const char* csv = nullptr;
};

class Ager {
 public:
  Ager(Engine* engine, const Options& options) : engine_(engine), options_(options) {}

  void Load() {
    for (uint64_t i = 0; i < options_.entries;) {
      engine_->BeginWrite();
      for (uint64_t end = std::min(options_.entries, i + 10000); i < end; ++i) {
        PutOne(i);
      }
      engine_->Commit();
    }
  }
  void Overwrite(uint64_t count) {
    for (uint64_t i = 0; i < count;) {
      engine_->BeginWrite();
      for (uint64_t end = std::min(count, i + options_.per_txn); i < end; ++i) {
        PutOne(random_() % options_.entries);
      }
      engine_->Commit();
    }
  }

 private:
  void PutOne(uint64_t number) {
    char value[100] = {};
    ++version_;
    std::memcpy(value, &version_, sizeof version_);
    engine_->Put(Key(number), {value, sizeof value});
  }

  Engine* engine_;
  const Options& options_;
  uint64_t version_ = 0;
  std::mt19937_64 random_{2004};
};

// ---- The reader in another process ----

// This program anew, from before the database is opened here: holds a snapshot when told to, and looks at the end whether it is
// still the same.
class ReaderElsewhere {
 public:
  explicit ReaderElsewhere(const Options& options) {
    int to[2], from[2];
    if (::pipe2(to, O_CLOEXEC) != 0 || ::pipe2(from, O_CLOEXEC) != 0) {
      Die("pipe", std::strerror(errno));
    }
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(to[0], STDIN_FILENO);
      ::dup2(from[1], STDOUT_FILENO);
      ::execl("/proc/self/exe", "bench_ageing", "--hold", options.engine.c_str(), options.directory.c_str(), nullptr);
      std::_Exit(127);
    }
    ::close(to[0]);
    ::close(from[1]);
    to_ = to[1];
    from_ = from[0];
  }
  void Hold() { Tell('h'); }
  void End() {
    Tell('e');
    ::waitpid(pid_, nullptr, 0);
  }

  // The other process.
  static int Run(const char* name, const char* directory) {
    std::unique_ptr<Engine> engine = MakeEngine(name);
    uint64_t entries = 0, entries_then = 0, sum = 0;
    for (char command = 0; ::read(STDIN_FILENO, &command, 1) == 1;) {
      char answer = 'y';
      if (command == 'h') {
        engine->Open(directory, Sync::kLazy);
        engine->BeginRead(0);
        sum = engine->Scan(0, true, &entries);
      } else {
        answer = engine->Scan(0, true, &entries_then) == sum && entries_then == entries ? 'y' : 'n';
        engine->DropReader(0);
        engine->Close();
      }
      if (::write(STDOUT_FILENO, &answer, 1) != 1) {
        return 1;
      }
    }
    return 0;
  }

 private:
  void Tell(char command) {
    char answer = 'n';
    if (::write(to_, &command, 1) != 1 || ::read(from_, &answer, 1) != 1 || answer != 'y') {
      Die("the reader in another process", command == 'h' ? "cannot open the database" : "saw its snapshot change");
    }
    if (command == 'e') {
      ::close(to_);
    }
  }

  pid_t pid_ = 0;
  int to_ = -1, from_ = -1;
};

// ---- Reports ----

class Reporter {
 public:
  Reporter(Engine* engine, const Options& options) : engine_(engine), options_(options) {
    csv_ = options.csv == nullptr ? nullptr : std::fopen(options.csv, "w");
    if (options.csv != nullptr && csv_ == nullptr) {
      Die(options.csv, "cannot write");
    }
    std::printf("%14s %10s %12s %12s %12s %12s\n", "overwrites", "seconds", "file MB", "used MB", "free MB", "pending MB");
    if (csv_ != nullptr) {
      std::fprintf(csv_, "overwrites,seconds,file_bytes,used_bytes,free_bytes,pending_bytes\n");
    }
  }
  ~Reporter() {
    if (csv_ != nullptr && std::fclose(csv_) != 0) {
      Die(options_.csv, "cannot write");
    }
  }
  Reporter(const Reporter&) = delete;
  Reporter& operator=(const Reporter&) = delete;

  void Report(uint64_t overwrites) {
    uint64_t bytes = BytesIn(options_.directory);
    Space space = engine_->GetSpace();
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    auto megabytes = [](auto size) { return static_cast<double>(size) / 1e6; };
    std::printf("%14llu %10.1f %12.1f %12.1f %12.1f %12.1f\n", static_cast<unsigned long long>(overwrites), seconds,
                megabytes(bytes), megabytes(space.used), megabytes(space.free), megabytes(space.pending));
    std::fflush(stdout);
    if (csv_ != nullptr) {
      std::fprintf(csv_, "%llu,%.1f,%llu,%llu,%llu,%llu\n", static_cast<unsigned long long>(overwrites), seconds,
                   static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(space.used),
                   static_cast<unsigned long long>(space.free), static_cast<unsigned long long>(space.pending));
      std::fflush(csv_);
    }
  }

 private:
  Engine* engine_;
  const Options& options_;
  std::FILE* csv_ = nullptr;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

[[noreturn]] void Usage() {
  Die("usage",
      "bench_ageing ENGINE DIRECTORY [--entries N] [--overwrites N] [--report-every N] [--per-transaction N] "
      "[--reader none|held|elsewhere] [--sync lazy|durable] [--csv FILE]");
}

Options ParseOptions(int argc, char** argv) {
  if (argc < 3 || argc % 2 == 0) {
    Usage();
  }
  Options options;
  options.engine = argv[1];
  options.directory = argv[2];
  for (int i = 3; i < argc; i += 2) {
    std::string name = argv[i], value = argv[i + 1];
    uint64_t number = std::strtoull(argv[i + 1], nullptr, 10);
    if (name == "--entries" && number > 0) {
      options.entries = number;
    } else if (name == "--overwrites") {
      options.overwrites = number;
    } else if (name == "--report-every" && number > 0) {
      options.report_every = number;
    } else if (name == "--per-transaction" && number > 0) {
      options.per_txn = number;
    } else if (name == "--reader" && (value == "none" || value == "held" || value == "elsewhere")) {
      options.reader = value;
    } else if (name == "--sync" && (value == "lazy" || value == "durable")) {
      options.sync = value == "lazy" ? Sync::kLazy : Sync::kSingleSync;
    } else if (name == "--csv") {
      options.csv = argv[i + 1];
    } else {
      Usage();
    }
  }
  return options;
}

int Main(int argc, char** argv) {
  if (argc == 4 && std::strcmp(argv[1], "--hold") == 0) {
    return ReaderElsewhere::Run(argv[2], argv[3]);
  }
  Options options = ParseOptions(argc, argv);
  std::unique_ptr<ReaderElsewhere> elsewhere;
  if (options.reader == "elsewhere") {
    elsewhere = std::make_unique<ReaderElsewhere>(options);
  }
  std::unique_ptr<Engine> engine = MakeEngine(options.engine);
  engine->Open(options.directory, Sync::kLazy);
  Ager ager(engine.get(), options);
  ager.Load();
  engine->Close();
  engine->Open(options.directory, options.sync);
  if (elsewhere != nullptr) {
    elsewhere->Hold();
  } else if (options.reader == "held") {
    engine->BeginRead(0);
  }
  Reporter reporter(engine.get(), options);
  reporter.Report(0);
  for (uint64_t done = 0; done < options.overwrites;) {
    uint64_t run = std::min(options.report_every, options.overwrites - done);
    ager.Overwrite(run);
    done += run;
    reporter.Report(done);
  }
  if (elsewhere != nullptr) {
    elsewhere->End();
  }
  engine->DropReader(0);
  engine->Close();
  return 0;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) { return bench::Main(argc, argv); }
