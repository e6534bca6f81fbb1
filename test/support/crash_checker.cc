#include "support/crash_checker.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/internal.h"

namespace johnny::sim {
namespace {

constexpr uint64_t kFirstBoot = 2;           // after a first crash
constexpr uint64_t kSecondCrashStates = 10;  // disks per second crash

// One session on a disk, step by step; each step returns false when the rest makes no sense.
class Session {
 public:
  Session(const DiskImage& image, const johnny_options& options, uint64_t boot_id)
      : system_(image, boot_id * 7919, boot_id), options_(options) {
    outcome_.present = system_.Exists(kPath);
    options_.durability = std::min<uint32_t>(options_.durability, JOHNNY_LAZY);  // no thread for each disk
  }
  ~Session() {
    system_.Kill();
    johnny_abort(txn_);
    johnny_close(env_);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Outcome Run(std::vector<Event>* events) {
    system_.set_recording(events != nullptr);
    bool all_right = Open() && Inspect() && WriteProbe();
    if (events != nullptr) {
      *events = system_.TakeEvents();
      system_.set_recording(false);
    }
    all_right = all_right && Verify() && Close() && Reopen();
    return std::move(outcome_);
  }

 private:
  bool Fail(std::string problem) {
    outcome_.problem = std::move(problem);
    return false;
  }
  bool Check(int code, const char* what) { return code == JOHNNY_OK || Fail(absl::StrCat(what, ": ", Explain(code))); }

  bool Open() {
    options_.flags = 0;
    int code = api::OpenWithSystem(&system_, kPath, &options_, &env_);
    if (outcome_.present) {
      return Check(code, "opening after the crash");
    }
    if (code != JOHNNY_NO_SUCH_FILE) {
      return Fail(absl::StrCat("opening what is absent: ", code));
    }
    options_.flags = JOHNNY_CREATE;
    system_.Mark(MarkKind::kCreateBegan);
    return Check(api::OpenWithSystem(&system_, kPath, &options_, &env_), "creating after the crash");
  }

  bool Inspect() {
    johnny_env_info info{};
    info.struct_size = sizeof info;
    if (!Check(johnny_env_get_info(env_, &info), "johnny_env_get_info")) {
      return false;
    }
    outcome_.last_id = info.last_txn_id;
    outcome_.discarded = info.discarded_txn_id;
    std::string problem;
    if (DigestOf(env_, &outcome_.digest, &problem) != JOHNNY_OK) {
      return Fail(absl::StrCat("after the crash: ", problem));
    }
    system_.Mark(MarkKind::kOpened, 0);
    return Verify();
  }

  bool Verify() {
    std::string findings = FindingsOf(env_);
    return findings.empty() || Fail(std::move(findings));
  }

  bool WriteProbe() {
    if (!Check(johnny_begin(env_, JOHNNY_NO_WAIT, &txn_), "beginning to write after the crash")) {
      return false;
    }
    outcome_.next_id = johnny_txn_id(txn_);
    system_.Mark(MarkKind::kIdHandedOut, static_cast<int64_t>(outcome_.next_id));
    if (!Check(johnny_put(txn_, nullptr, kProbeKey, sizeof kProbeKey - 1, kProbeValue, sizeof kProbeValue - 1, 0),
               "writing after the crash")) {
      return false;
    }
    system_.Mark(MarkKind::kCommitBegan, 1);
    if (!Check(johnny_commit(std::exchange(txn_, nullptr)), "committing after the crash")) {
      return false;
    }
    system_.Mark(options_.durability == JOHNNY_LAZY ? MarkKind::kCommitLazy : MarkKind::kCommitDurable, 1);
    return true;
  }

  bool Close() { return Check(johnny_close(std::exchange(env_, nullptr)), "closing after the crash"); }

  bool Reopen() {
    options_.flags = 0;
    std::string problem;
    if (!Check(api::OpenWithSystem(&system_, kPath, &options_, &env_), "reopening after a clean close")) {
      return false;
    }
    if (DigestOf(env_, &outcome_.digest_after, &problem) != JOHNNY_OK) {
      return Fail(absl::StrCat("reopened after a clean close: ", problem));
    }
    return true;
  }

  SimSystem system_;
  johnny_options options_;
  johnny_env* env_ = nullptr;
  johnny_txn* txn_ = nullptr;
  Outcome outcome_;
};

}  // namespace

Outcome CheckDisk(const DiskImage& image, const johnny_options& options, uint64_t boot_id, std::vector<Event>* events) {
  return Session(image, options, boot_id).Run(events);
}

std::string JudgeOutcome(const Outcome& outcome, const History& history, const Expectation& expectation) {
  if (!outcome.present && !expectation.may_be_absent()) {
    return "the database is gone";
  }
  if (!outcome.problem.empty()) {
    return outcome.problem;
  }
  CommitRecord found = history.commits[0];  // what a creation after an absence gives
  if (outcome.present) {
    std::string problem = expectation.Judge(history, outcome.digest, outcome.last_id);
    if (!problem.empty()) {
      return problem;
    }
    found = history.commits[static_cast<size_t>(expectation.Find(history, outcome.digest))];
    if (outcome.next_id <= expectation.largest_id()) {
      return absl::StrCat("transaction id ", outcome.next_id, " is used again: ", expectation.largest_id(), " was handed out");
    }
  }
  if (outcome.digest_after != found.digest_with_probe) {
    return "after a further commit and a clean close the content is neither as found nor with that commit";
  }
  return "";
}

void CrashChecker::Run(const Recording& recording, uint64_t states, const Exhaustive& exhaustive) {
  for (const std::string& problem : recording.problems) {
    failures_.push_back(absl::StrCat("scenario ", recording.name, ", seed ", recording.seed, ", before any crash: ", problem));
  }
  if (!done()) {
    RunAt(recording, states, exhaustive, kFirstBoot);
  }
}

void CrashChecker::RunAt(const Recording& recording, uint64_t states, const Exhaustive& exhaustive, uint64_t boot_id) {
  Place place{recording, CrashDisk(recording.start), Expectation(recording.starts_absent), boot_id, 0, {}};
  place.expectation.set_largest_id(recording.largest_id);
  double per_point = static_cast<double>(states) / static_cast<double>(recording.events.size() - recording.from_event + 1);
  double allowance = 2;
  for (; place.event < recording.events.size() && !done(); ++place.event) {
    const Event& event = recording.events[place.event];
    if (event.kind == Event::Kind::kMark) {
      place.expectation.Apply(event.mark, event.value);
      for (const Live& one : place.live) {  // what was seen before may not be right any more
        Judge(place, outcomes_.at(one.hash), one.variant);
      }
    }
    if (place.disk.Apply(event, place.event)) {
      place.live.clear();
    }
    if (place.event + 1 < recording.from_event) {
      continue;
    }
    ++points_;
    CheckExhaustively(exhaustive, &place);
    allowance += per_point;
    CheckSome(exhaustive, &allowance, &place);
  }
}

void CrashChecker::CheckExhaustively(const Exhaustive& exhaustive, Place* place) {
  std::vector<Variant> variants = place->disk.NewSubsets(exhaustive.subsets_up_to);
  if (exhaustive.master_tears) {
    std::vector<Variant> tears = place->disk.NewMasterTears();
    std::move(tears.begin(), tears.end(), std::back_inserter(variants));
  }
  for (size_t i = 0; i < variants.size() && !done(); ++i) {
    CheckVariant(variants[i], place);
  }
}

void CrashChecker::CheckSome(const Exhaustive& exhaustive, double* allowance, Place* place) {
  VariantOptions options = options_.variants;
  options.subsets = place->disk.optional_changes() > exhaustive.subsets_up_to;
  std::vector<Variant> variants = place->disk.Variants(options, &random_);
  size_t tries = static_cast<size_t>(4 * std::max(0.0, *allowance)) + 4;
  for (size_t i = 0; i < variants.size() && i < tries && !done(); ++i) {
    if (i >= 2 && *allowance < 1) {
      break;  // the first two are always worth it
    }
    *allowance -= CheckVariant(variants[i], place) ? 1 : 0;
  }
}

bool CrashChecker::CheckVariant(const Variant& variant, Place* place) {
  DiskImage image = place->disk.Build(variant);
  Hash128 hash = image.Hash();
  size_t before = outcomes_.size();
  const Outcome& outcome = OutcomeOf(*place, image, hash);
  bool fresh = outcomes_.size() > before;
  Judge(*place, outcome, variant);
  place->live.push_back({hash, variant});
  return fresh;
}

const Outcome& CrashChecker::OutcomeOf(const Place& place, const DiskImage& image, const Hash128& hash) {
  auto known = outcomes_.find(hash);
  if (known != outcomes_.end()) {
    return known->second;
  }
  bool may_crash_again = options_.again && place.boot_id == kFirstBoot;
  std::vector<Event> events;
  Outcome outcome = CheckDisk(image, place.recording.options, place.boot_id, may_crash_again ? &events : nullptr);
  const Outcome& kept = outcomes_.emplace(hash, outcome).first->second;
  // Recovery that rejected something is the more interesting one.
  if (may_crash_again && outcome.problem.empty() && Below(&random_, outcome.discarded != 0 ? 12 : 64) == 0) {
    CrashAgain(place, image, outcome, std::move(events));
  }
  return kept;
}

void CrashChecker::CrashAgain(const Place& place, const DiskImage& image, const Outcome& outcome, std::vector<Event> events) {
  const History& history = place.recording.history;
  int found = outcome.present ? place.expectation.Find(history, outcome.digest) : 0;
  if (found < 0) {
    return;  // Judge() reports it
  }
  ++second_crashes_;
  Recording again;
  again.name = absl::StrCat(place.recording.name, ", second crash");
  again.seed = place.recording.seed;
  again.options = place.recording.options;
  again.start = image;
  again.starts_absent = !outcome.present;
  again.largest_id = place.expectation.largest_id();
  again.events = std::move(events);
  CommitRecord before = history.commits[static_cast<size_t>(found)];
  if (outcome.present) {
    before.id = outcome.last_id;  // of commits that left the content as it was, this one is there
  }
  again.history.commits = {before, {outcome.next_id, before.digest_with_probe, before.digest_with_probe}};
  RunAt(again, kSecondCrashStates, {}, place.boot_id + 1);
}

void CrashChecker::Judge(const Place& place, const Outcome& outcome, const Variant& variant) {
  const Recording& recording = place.recording;
  std::string problem = JudgeOutcome(outcome, recording.history, place.expectation);
  if (!problem.empty() && !done()) {
    failures_.push_back(absl::StrCat("scenario ", recording.name, ", seed ", recording.seed, ", checker seed ", options_.seed,
                                     ", power cut after event ", place.event, " of ", recording.events.size(), ", ",
                                     place.disk.Describe(variant), ": ", problem));
  }
}

}  // namespace johnny::sim
