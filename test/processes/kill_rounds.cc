// Real processes, killed at random: one database, a writer (half of the time two) and four readers as processes of their own.
// Each round kills some of them, starts some anew beside those that go on, and then checks that nothing acknowledged is lost,
// that no snapshot was ever half of one, and that no page and no reader slot has leaked.
//
//   kill_rounds [--rounds N] [--seed S] [--dir D] [--page-size B] [--time-limit S] [--readers N] [--alone] [--lie WHAT]
//
// The seed decides what is done; when the kills fall is up to the machine. The first finding ends the run with exit code 1, and
// leaves the database and its lock file as they are. --alone: one process at a time. --lie coin, mark, ack or torn: the writer
// does what must be found, and the exit code is 0 if it is.
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "processes/roles.h"

namespace johnny::test {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr auto kPatience = std::chrono::seconds(90);  // for a process to end once asked; sanitizers are slow

constexpr const char* kLieNames[] = {"none", "coin", "mark", "ack", "torn"};
constexpr const char* kLieShows[] = {"", "coins in", "the marks are", "acknowledged", "coins in"};

struct Options {
  uint64_t rounds = 200;
  uint64_t seed = 2004;
  std::string directory;
  uint32_t page_size = 4096;
  uint64_t time_limit = 0;  // seconds; 0: none
  uint32_t readers = 4;
  bool alone = false;
  Lie lie = Lie::kNone;
};

// ---- One process ----

struct Process {
  pid_t pid = 0;
  RoleArguments arguments;
  bool beside_others = false;  // when it was started, others were alive
};

std::vector<std::string> CommandLine(const RoleArguments& a) {
  return {"kill_rounds",
          "--role",
          a.role,
          a.path,
          std::to_string(a.shared_fd),
          std::to_string(a.slot),
          std::to_string(a.launch),
          std::to_string(a.seed),
          std::to_string(a.page_size),
          std::to_string(a.durability),
          std::to_string(static_cast<int>(a.lie))};
}

RoleArguments ParseRole(char** words) {
  RoleArguments a;
  a.role = words[0];
  a.path = words[1];
  a.shared_fd = std::atoi(words[2]);
  a.slot = static_cast<uint32_t>(std::atoi(words[3]));
  a.launch = std::strtoull(words[4], nullptr, 10);
  a.seed = std::strtoull(words[5], nullptr, 10);
  a.page_size = static_cast<uint32_t>(std::atoi(words[6]));
  a.durability = static_cast<uint32_t>(std::atoi(words[7]));
  a.lie = static_cast<Lie>(std::atoi(words[8]));
  return a;
}

pid_t Spawn(const RoleArguments& arguments) {
  std::vector<std::string> words = CommandLine(arguments);
  std::vector<char*> argv;
  for (std::string& word : words) {
    argv.push_back(word.data());
  }
  argv.push_back(nullptr);
  pid_t parent = ::getpid();
  pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // nobody stays behind when the campaign itself is interrupted
    if (::getppid() == parent) {
      ::execv("/proc/self/exe", argv.data());
    }
    std::_Exit(127);
  }
  if (pid < 0) {
    throw Finding(std::string("fork: ") + std::strerror(errno));
  }
  return pid;
}

// Where a process hangs, as far as the kernel tells.
std::string WhereIs(pid_t pid) {
  std::string text;
  for (const char* name : {"wchan", "syscall", "stack"}) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/" + name);
    text += std::string("\n  ") + name + ": " + std::string(std::istreambuf_iterator<char>(in), {});
  }
  return text;
}

// ---- The campaign ----

struct Tally {
  uint64_t rounds = 0, launches = 0, checks = 0, live_checks = 0, lock_files_removed = 0;
  std::map<std::string, uint64_t> killed;                // by role
  std::array<uint64_t, kPhases> writers_killed_while{};  // by phase
  std::array<uint64_t, kPhases> readers_killed_while{};
  uint64_t taken_over_by_living = 0, taken_over_by_newcomer = 0, taken_over_by_opener = 0;
};

class Campaign {
 public:
  Campaign(const Options& options, std::string path, int shared_fd)
      : options_(options), path_(std::move(path)), shared_fd_(shared_fd), shared_(MapShared(shared_fd)), random_(options.seed) {}
  ~Campaign() { KillAll(); }

  void Run();
  void KillAll();
  void PrintTable(uint64_t findings) const;
  // What led to a finding.
  std::string Story() const;

 private:
  struct Orphan {
    uint64_t number;    // of the transaction in which its writer was killed
    uint64_t launches;  // so far
  };

  void Round();
  void StartAll();
  void Start(const std::string& role, uint32_t slot, uint32_t durability);
  void Leg(bool last);
  void WaitUntilOpen();
  std::vector<size_t> Victims();
  void Kill(const std::vector<size_t>& victims);
  void CountKill(const Process& process);
  void LookForEnded();
  void StopAll();
  void WaitFor(const Process& process);
  void RunCheck(const std::string& role);
  void CountTakeovers();
  void MaybeRemoveLockFile();
  [[noreturn]] void Fail(const std::string& otherwise);
  void Log(const std::string& what);

  const Options& options_;
  const std::string path_;
  const int shared_fd_;
  SharedPage* const shared_;
  Random random_;
  Tally tally_;
  std::vector<Process> live_;
  std::vector<Orphan> orphans_;
  std::map<uint64_t, bool> beside_others_;  // by launch
  std::string log_;
  Clock::time_point round_start_;
  Clock::time_point start_ = Clock::now();
};

void Campaign::Log(const std::string& what) {
  auto ms = std::chrono::duration_cast<milliseconds>(Clock::now() - round_start_).count();
  log_ += "  " + std::to_string(ms) + " ms: " + what + "\n";
}

// What a process has found, or else this.
void Campaign::Fail(const std::string& otherwise) {
  for (int i = 0; i < 1000 && shared_->found.load() == 1; ++i) {
    std::this_thread::sleep_for(milliseconds(1));
  }
  throw Finding(shared_->found.load() != 0 ? shared_->finding : otherwise);
}

void Campaign::Start(const std::string& role, uint32_t slot, uint32_t durability) {
  Process process;
  process.beside_others = !live_.empty();
  process.arguments =
      RoleArguments{role, path_, shared_fd_, slot, ++tally_.launches, random_(), options_.page_size, durability, options_.lie};
  shared_->slots[slot].phase.store(Phase::kStarting);
  shared_->slots[slot].last_number.store(0);
  process.pid = Spawn(process.arguments);
  beside_others_[process.arguments.launch] = process.beside_others;
  Log("started " + role + " as process " + std::to_string(process.pid) + " (launch " + std::to_string(process.arguments.launch) +
      ")");
  live_.push_back(process);
}

void Campaign::StartAll() {
  shared_->stop.store(0);
  uint32_t durability = static_cast<uint32_t>(JOHNNY_TWO_PHASE + Below(&random_, 3));
  static_assert(JOHNNY_TWO_PHASE == 1 && JOHNNY_LAZY == 3);
  Log("durability " + std::to_string(durability));
  uint32_t slot = 0;
  Start("writer", slot++, durability);
  if (!options_.alone) {
    if (OneIn(&random_, 2)) {  // a second writer, which will wait for the first and may take over from it
      Start("writer", slot++, static_cast<uint32_t>(JOHNNY_TWO_PHASE + Below(&random_, 3)));
    }
    for (uint32_t i = 0; i < options_.readers; ++i) {
      Start("reader", slot++, durability);
    }
  }
}

void Campaign::WaitUntilOpen() {
  auto end = Clock::now() + kPatience;
  for (const Process& process : live_) {
    while (shared_->slots[process.arguments.slot].phase.load() <= Phase::kOpening && Clock::now() < end) {
      LookForEnded();
      std::this_thread::sleep_for(milliseconds(1));
    }
  }
}

// A non-empty subset: mostly with a writer, sometimes readers alone, sometimes all.
std::vector<size_t> Campaign::Victims() {
  uint64_t kind = Below(&random_, 10);
  std::vector<size_t> victims;
  while (victims.empty()) {
    for (size_t i = 0; i < live_.size(); ++i) {
      bool writer = live_[i].arguments.role == "writer";
      bool chosen = kind == 0   ? true
                    : kind <= 2 ? !writer && OneIn(&random_, 2)
                                : (writer && !OneIn(&random_, 3)) || (!writer && OneIn(&random_, 4));
      if (chosen) {
        victims.push_back(i);
      }
    }
    kind = victims.empty() ? 3 + Below(&random_, 7) : kind;  // nobody of that kind is left
  }
  return victims;
}

void Campaign::CountKill(const Process& process) {
  const SharedPage::Slot& slot = shared_->slots[process.arguments.slot];
  Phase phase = slot.phase.load();
  bool writer = process.arguments.role == "writer";
  ++tally_.killed[process.arguments.role];
  ++(writer ? tally_.writers_killed_while : tally_.readers_killed_while)[static_cast<size_t>(phase)];
  Log("killed " + process.arguments.role + " " + std::to_string(process.pid) + " while " +
      kPhaseNames[static_cast<size_t>(phase)] + (writer ? ", last begun " + std::to_string(slot.last_number.load()) : ""));
  if (writer && (phase == Phase::kInside || phase == Phase::kCommitting)) {
    orphans_.push_back(Orphan{slot.last_number.load(), tally_.launches});
  }
}

void Campaign::Kill(const std::vector<size_t>& victims) {
  for (size_t i : victims) {
    ::kill(live_[i].pid, SIGKILL);
  }
  for (auto i = victims.rbegin(); i != victims.rend(); ++i) {
    Process process = live_[*i];
    int status = 0;
    ::waitpid(process.pid, &status, 0);
    live_.erase(live_.begin() + static_cast<std::ptrdiff_t>(*i));
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
      Fail(process.arguments.role + " ended by itself, with status " + std::to_string(status));
    }
    CountKill(process);
  }
}

// Nobody ends before being told to.
void Campaign::LookForEnded() {
  for (size_t i = 0; i < live_.size(); ++i) {
    int status = 0;
    if (::waitpid(live_[i].pid, &status, WNOHANG) == live_[i].pid) {
      Process process = live_[i];
      live_.erase(live_.begin() + static_cast<std::ptrdiff_t>(i));
      Fail(process.arguments.role + " " + std::to_string(process.pid) + " ended by itself, with status " +
           std::to_string(status) + (WIFSIGNALED(status) ? std::string(", ") + ::strsignal(WTERMSIG(status)) : ""));
    }
  }
  if (shared_->found.load() != 0) {
    Fail("");
  }
}

void Campaign::WaitFor(const Process& process) {
  auto end = Clock::now() + kPatience;
  int status = 0;
  pid_t ended;
  while ((ended = ::waitpid(process.pid, &status, WNOHANG)) == 0) {
    if (Clock::now() > end) {
      Phase phase = shared_->slots[process.arguments.slot].phase.load();
      throw Finding(process.arguments.role + " " + std::to_string(process.pid) + " hangs while " +
                    kPhaseNames[static_cast<size_t>(phase)] + WhereIs(process.pid));
    }
    std::this_thread::sleep_for(std::chrono::microseconds(300));
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    Fail(process.arguments.role + " " + std::to_string(process.pid) + " ended with status " + std::to_string(status) +
         (WIFSIGNALED(status) ? std::string(", ") + ::strsignal(WTERMSIG(status)) : ""));
  }
}

void Campaign::StopAll() {
  Log("told the others to stop");
  shared_->stop.store(1);
  while (!live_.empty()) {
    Process process = live_.back();
    WaitFor(process);
    live_.pop_back();
  }
}

void Campaign::RunCheck(const std::string& role) {
  Log(role);
  Start(role, SharedPage::kSlots - 1, JOHNNY_TWO_PHASE);
  Process process = live_.back();
  WaitFor(process);
  live_.pop_back();
  ++(role == "check-live" ? tally_.live_checks : tally_.checks);
}

// Who went on after a transaction that its writer did not survive?
void Campaign::CountTakeovers() {
  while (!orphans_.empty() && shared_->begun.load() > orphans_.front().number) {
    Orphan orphan = orphans_.front();
    orphans_.erase(orphans_.begin());
    uint64_t successor = shared_->LaunchOf(orphan.number + 1);
    ++(successor <= orphan.launches ? tally_.taken_over_by_living
       : beside_others_[successor]  ? tally_.taken_over_by_newcomer
                                    : tally_.taken_over_by_opener);
  }
}

void Campaign::Leg(bool last) {
  if (!OneIn(&random_, 4)) {
    WaitUntilOpen();
  }
  std::this_thread::sleep_for(std::chrono::microseconds(5000 + Below(&random_, 55000)));
  LookForEnded();
  std::vector<Process> before = live_;
  Kill(Victims());
  if (!options_.alone && OneIn(&random_, 4)) {
    RunCheck("check-live");
  }
  if (last) {
    return;
  }
  bool all = OneIn(&random_, 2);
  for (const Process& process : before) {
    bool dead = true;
    for (const Process& other : live_) {
      dead = dead && other.pid != process.pid;
    }
    if (dead && (all || live_.empty() || OneIn(&random_, 2))) {
      Start(process.arguments.role, process.arguments.slot, process.arguments.durability);
    }
  }
}

void Campaign::MaybeRemoveLockFile() {
  if (OneIn(&random_, 20) && ::unlink((path_ + "-lock").c_str()) == 0) {
    Log("removed the lock file, which nobody has open");
    ++tally_.lock_files_removed;
  }
}

void Campaign::Round() {
  round_start_ = Clock::now();
  log_.clear();
  StartAll();
  uint64_t legs = 1 + Below(&random_, 3);
  for (uint64_t i = 1; i <= legs; ++i) {
    Leg(i == legs);
  }
  StopAll();
  RunCheck("check");
  CountTakeovers();
  MaybeRemoveLockFile();
  ++tally_.rounds;
}

void Campaign::Run() {
  round_start_ = Clock::now();
  RunCheck("create");
  for (uint64_t i = 0; i < options_.rounds; ++i) {
    if (options_.time_limit != 0 && Clock::now() - start_ > std::chrono::seconds(options_.time_limit)) {
      return;
    }
    Round();
  }
}

void Campaign::KillAll() {
  for (const Process& process : live_) {
    ::kill(process.pid, SIGKILL);
    ::waitpid(process.pid, nullptr, 0);
  }
  live_.clear();
}

// ---- Reports ----

std::string Campaign::Story() const {
  return "in round " + std::to_string(tally_.rounds) + " with --seed " + std::to_string(options_.seed) + " --page-size " +
         std::to_string(options_.page_size) + " --readers " + std::to_string(options_.readers) +
         (options_.alone ? " --alone" : "") + " --lie " + kLieNames[static_cast<int>(options_.lie)] +
         "\nlast transaction acknowledged or seen: " + std::to_string(shared_->acknowledged.load()) +
         ", last begun: " + std::to_string(shared_->begun.load()) + "\nthe database is kept: " + path_ +
         "\nwhat happened in the round:\n" + log_;
}

std::string ByPhase(const std::array<uint64_t, kPhases>& counts) {
  std::string text;
  for (uint32_t i = 0; i < kPhases; ++i) {
    if (counts[i] != 0) {
      text += (text.empty() ? "" : ", ") + std::to_string(counts[i]) + " " + kPhaseNames[i];
    }
  }
  return text;
}

void Campaign::PrintTable(uint64_t findings) const {
  auto row = [](const char* what, uint64_t count, const std::string& more = "") {
    std::printf("%-34s %10llu  %s\n", what, static_cast<unsigned long long>(count), more.c_str());
  };
  auto killed = [&](const char* role) {
    auto found = tally_.killed.find(role);
    return found == tally_.killed.end() ? 0 : found->second;
  };
  struct stat info {};
  ::stat(path_.c_str(), &info);
  std::printf("%-34s %10s\n", "kill rounds", "count");
  row("rounds", tally_.rounds, "seed " + std::to_string(options_.seed) + ", page size " + std::to_string(options_.page_size));
  row("processes started", tally_.launches);
  row("writers killed", killed("writer"), ByPhase(tally_.writers_killed_while));
  row("readers killed", killed("reader"), ByPhase(tally_.readers_killed_while));
  row("commits acknowledged", shared_->commits.load());
  row("transactions aborted", shared_->aborts.load());
  row("taken over by a living writer", tally_.taken_over_by_living);
  row("taken over by a new one, not alone", tally_.taken_over_by_newcomer);
  row("taken over by a first opener", tally_.taken_over_by_opener);
  row("reader checks", shared_->reader_checks.load(), std::to_string(shared_->holds.load()) + " of held snapshots");
  row("reader slots freed on demand", shared_->freed_readers.load());
  row("checks with nobody else about", tally_.checks);
  row("checks beside others", tally_.live_checks);
  row("lock files removed in between", tally_.lock_files_removed);
  row("bytes of the file", static_cast<uint64_t>(info.st_size));
  row("seconds", static_cast<uint64_t>(std::chrono::duration<double>(Clock::now() - start_).count()));
  row("findings", findings);
}

// ---- Command line ----

[[noreturn]] void Usage() {
  std::fprintf(stderr,
               "usage: kill_rounds [--rounds N] [--seed S] [--dir D] [--page-size B] [--time-limit SECONDS] [--readers N]\n"
               "                   [--alone] [--lie none|coin|mark|ack|torn]\n");
  std::exit(2);
}

Lie ParseLie(const char* name) {
  for (size_t i = 0; i < std::size(kLieNames); ++i) {
    if (std::strcmp(kLieNames[i], name) == 0) {
      return static_cast<Lie>(i);
    }
  }
  Usage();
}

Options ParseOptions(int argc, char** argv) {
  Options options;
  const char* temporary = std::getenv("TMPDIR");
  options.directory = temporary != nullptr ? temporary : "/tmp";
  for (int i = 1; i < argc; ++i) {
    std::string name = argv[i];
    if (name == "--alone") {
      options.alone = true;
      continue;
    }
    if (++i == argc) Usage();
    uint64_t number = std::strtoull(argv[i], nullptr, 10);
    if (name == "--rounds") {
      options.rounds = number;
    } else if (name == "--seed") {
      options.seed = number;
    } else if (name == "--dir") {
      options.directory = argv[i];
    } else if (name == "--page-size") {
      options.page_size = static_cast<uint32_t>(number);
    } else if (name == "--time-limit") {
      options.time_limit = number;
    } else if (name == "--readers" && number <= 32) {
      options.readers = static_cast<uint32_t>(number);
    } else if (name == "--lie") {
      options.lie = ParseLie(argv[i]);
    } else {
      Usage();
    }
  }
  return options;
}

int Main(int argc, char** argv) {
  if (argc == 11 && std::strcmp(argv[1], "--role") == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    return RunRole(ParseRole(argv + 2));
  }
  Options options = ParseOptions(argc, argv);
  std::string directory = options.directory + "/kill_rounds_XXXXXX";
  int shared_fd = ::memfd_create("kill_rounds", 0);  // inherited by all
  if (::mkdtemp(directory.data()) == nullptr || shared_fd < 0 || ::ftruncate(shared_fd, sizeof(SharedPage)) != 0) {
    std::perror("kill_rounds: cannot prepare");
    return 2;
  }
  Campaign campaign(options, directory + "/db", shared_fd);
  bool found = false, good = options.lie == Lie::kNone;
  try {
    campaign.Run();
  } catch (const Finding& finding) {
    std::fprintf(stderr, "FINDING: %s\n%s", finding.what(), campaign.Story().c_str());
    found = true;
    good = !good && std::strstr(finding.what(), kLieShows[static_cast<int>(options.lie)]) != nullptr;
  }
  campaign.KillAll();
  campaign.PrintTable(found ? 1 : 0);
  if (good) {
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  }
  return good ? 0 : 1;
}

}  // namespace
}  // namespace johnny::test

int main(int argc, char** argv) { return johnny::test::Main(argc, argv); }
