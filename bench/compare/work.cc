#include "compare/work.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "compare/disk.h"

namespace bench {
namespace {

// So that nothing of it is left in this process but what is in the files and in the system's page cache.
void InAnotherProcess(const std::function<void()>& body) {
  std::fflush(nullptr);
  pid_t child = ::fork();
  if (child == 0) {
    body();
    std::fflush(nullptr);
    std::_Exit(0);
  }
  int status = 1;
  if (child < 0 || ::waitpid(child, &status, 0) != child || status != 0) {
    Die("loading in another process", "failed");
  }
}

}  // namespace

const Works& AllWorks() {
  static const Works works = [] {
    Works all;
    for (const Works& some : {ReadWorks(), WriteWorks(), FileWorks(), YcsbWorks(), RedbWorks()}) {
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }();
  return works;
}

Bench::Bench(const Settings& settings)
    : settings_(settings), data_(settings.data), engine_(MakeEngine(settings.engine, settings.tuning)) {
  std::filesystem::create_directories(directory());
}

std::string Bench::Spare() const {
  std::string path = directory() + "/spare";
  std::filesystem::remove_all(path);
  std::filesystem::create_directory(path);
  return path;
}

void Bench::Rate(uint64_t operations, double seconds, const std::string& suffix) const {
  Report(suffix, static_cast<double>(operations) / std::max(seconds, 1e-9), "op/s", true, operations, seconds);
}

void Bench::Figure(double value, const char* unit, const std::string& suffix) const { Report(suffix, value, unit, false, 0, 0); }

// One JSON object a line: what the driver reads.
void Bench::Report(const std::string& suffix, double value, const char* unit, bool more_is_better, uint64_t operations,
                   double seconds) const {
  std::printf(
      "{\"name\": \"%s%s\", \"value\": %.6g, \"unit\": \"%s\", \"more_is_better\": %s, \"operations\": %llu, \"seconds\": %.6f, "
      "\"file_bytes\": %llu}\n",
      work_, suffix.c_str(), value, unit, more_is_better ? "true" : "false", static_cast<unsigned long long>(operations), seconds,
      static_cast<unsigned long long>(BytesIn(directory())));
  std::fflush(stdout);
}

void Bench::Prepare(Start start, Sync sync) {
  auto load = [this, start] {
    Open(Sync::kLazy);
    LoadShuffled(this);
    engine_->Settle();
    for (uint64_t i = 0; start == Start::kAged && i < settings_.ageing; ++i) {
      Overwrite(this, entries(), std::min(entries(), kBatch), 100 + i);
    }
    engine_->Close();
  };
  bool elsewhere = start == Start::kCold || start == Start::kDropped;
  if (start != Start::kEmpty && !settings_.loaded) {
    elsewhere ? InAnotherProcess(load) : load();
  }
  if (start == Start::kCold) {
    return;
  }
  if (start == Start::kDropped) {
    DropCache(directory());
  }
  Open(sync);
  if (start == Start::kWarm) {
    uint64_t visited = 0;
    engine_->BeginRead(0);
    engine_->Scan(0, true, &visited);
    engine_->EndRead(0);
    if (visited != entries()) {
      Die("warming", "wrong number of entries");
    }
  }
}

void Bench::Run() {
  std::vector<const Work*> works;
  for (const std::string& name : settings_.works) {
    for (const Work& work : AllWorks()) {
      if (name == work.name) {
        works.push_back(&work);
      }
    }
    if (works.empty() || name != works.back()->name) {
      Die(name.c_str(), "no such work; --list tells which there are");
    }
    if (works.back()->start != works[0]->start || works.back()->sync != works[0]->sync) {
      Die(name.c_str(), "cannot be in one process with the works before it");
    }
  }
  Start start = works[0]->start;
  Prepare(start, works[0]->sync);
  for (const Work* work : works) {
    work_ = work->name;
    work->run(this);
  }
  if (start != Start::kCold) {
    engine_->Close();
  }
}

double SecondsInThreads(int threads, const std::function<void(int)>& warm_up, const std::function<void(int)>& body) {
  std::atomic<int> ready = 0;
  std::atomic<bool> go = false;
  std::vector<std::thread> running;
  for (int i = 0; i < threads; ++i) {
    running.emplace_back([&, i] {
      warm_up(i);
      ++ready;
      while (!go) {
        std::this_thread::yield();
      }
      body(i);
    });
  }
  while (ready < threads) {
    std::this_thread::yield();
  }
  return Bench::Seconds([&] {
    go = true;
    for (std::thread& thread : running) {
      thread.join();
    }
  });
}

void LoadShuffled(Bench* bench) {
  Keys keys(bench->data());
  Values values(bench->data());
  std::vector<uint32_t> order = bench->data().Shuffled(bench->entries());
  for (size_t i = 0; i < order.size();) {
    bench->engine()->BeginWrite();
    for (size_t end = std::min<size_t>(order.size(), i + kBatch); i < end; ++i) {
      bench->engine()->Put(keys.Of(order[i]), values.Next());
    }
    bench->engine()->Commit();
  }
}

void Overwrite(Bench* bench, uint64_t operations, uint64_t per_txn, uint64_t seed) {
  Keys keys(bench->data());
  Values values(bench->data(), seed);
  Random random(seed);
  for (uint64_t i = 0; i < operations; i += per_txn) {
    bench->engine()->BeginWrite();
    for (uint64_t j = 0; j < per_txn; ++j) {
      bench->engine()->Put(keys.Of(random.Below(bench->entries())), values.Next());
    }
    bench->engine()->Commit();
  }
}

}  // namespace bench
