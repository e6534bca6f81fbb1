// Verification and scrubbing in the C API.
#include <johnny/johnny.h>

#include <algorithm>
#include <memory>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "api/internal.h"
#include "verify/scrub.h"
#include "verify/verify.h"

using johnny::Code;
using johnny::api::Fail;
using johnny::api::Guard;
using johnny::api::UseEnv;
using johnny::verify::FindingKind;
using johnny::verify::Scrubber;

namespace johnny::api {
namespace {

constexpr uint32_t kMostThreads = 64;
constexpr uint32_t kThreadsUnasked = 4;  // at most
constexpr uint64_t kBytesPerSecondUnasked = 8 << 20;

#define JOHNNY_SAME_KIND(cpp, c) static_assert(static_cast<int>(FindingKind::cpp) == c)
JOHNNY_SAME_KIND(kPage, JOHNNY_FINDING_PAGE);
JOHNNY_SAME_KIND(kValue, JOHNNY_FINDING_VALUE);
JOHNNY_SAME_KIND(kKeys, JOHNNY_FINDING_KEYS);
JOHNNY_SAME_KIND(kBirth, JOHNNY_FINDING_BIRTH);
JOHNNY_SAME_KIND(kCount, JOHNNY_FINDING_COUNT);
JOHNNY_SAME_KIND(kOwnedTwice, JOHNNY_FINDING_OWNED_TWICE);
JOHNNY_SAME_KIND(kLost, JOHNNY_FINDING_LOST);
JOHNNY_SAME_KIND(kFreeLog, JOHNNY_FINDING_FREE_LOG);
JOHNNY_SAME_KIND(kMaster, JOHNNY_FINDING_MASTER);
JOHNNY_SAME_KIND(kFile, JOHNNY_FINDING_FILE);
JOHNNY_SAME_KIND(kSnapshot, JOHNNY_FINDING_SNAPSHOT);

constexpr const char* kKindNames[] = {"none",        "page", "value",    "keys",   "birth", "count",
                                      "owned-twice", "lost", "free-log", "master", "file",  "snapshot"};
static_assert(sizeof kKindNames / sizeof *kKindNames == verify::kFindingKinds);

std::function<bool(const verify::Finding&)> FindingCallback(johnny_finding_callback on_finding, void* context) {
  if (on_finding == nullptr) {
    return nullptr;
  }
  return [=](const verify::Finding& found) {
    johnny_finding finding = {sizeof finding, found.page, found.table, found.message.c_str(), static_cast<uint32_t>(found.kind)};
    return on_finding(context, &finding) == 0;
  };
}

// As the writer, whose memory is checked too, where this process may write; else beside writers.
absl::StatusOr<verify::Result> VerifyAsReader(txn::Database* db, size_t threads, const verify::Callbacks& callbacks) {
  txn::Txn reader(db);
  JOHNNY_RETURN_IF_ERROR(reader.BeginRead());
  return verify::Verify(db, reader.snapshot(), nullptr, threads, callbacks);
}

absl::StatusOr<verify::Result> VerifyNewest(txn::Database* db, size_t threads, const verify::Callbacks& callbacks) {
  if (db->options.read_only || db->writes_refused()) {
    return VerifyAsReader(db, threads, callbacks);
  }
  JOHNNY_RETURN_IF_ERROR(db->BecomeWriter(os::kWaitForEver));
  absl::Cleanup release = [db] { db->writer.Release(); };
  {
    MutexLock lock(&db->publish);
    db->AwaitSealed();
  }
  if (db->writes_refused()) {  // since a sync of those failed: what is in memory is of commits that were dropped
    return VerifyAsReader(db, threads, callbacks);
  }
  absl::Status loaded = db->LoadSpace();  // damage shows again, as a finding
  return verify::Verify(db, db->board.Newest(), loaded.ok() ? db->space.get() : nullptr, threads, callbacks);
}

int RunVerify(johnny_env* env, const johnny_verify_options& options, verify::Result* result) {
  verify::Callbacks callbacks;
  callbacks.on_finding = FindingCallback(options.on_finding, options.context);
  if (options.on_progress != nullptr) {
    callbacks.on_progress = [&options](uint64_t done, uint64_t total) {
      return options.on_progress(options.context, done, total) == 0;
    };
  }
  if (env->db->writer.HeldByThisThread()) {
    return Fail(Code::kBusy, "this thread holds the write transaction that the call would wait for");
  }
  uint32_t threads = options.threads;
  if (threads == 0) {
    threads = std::min(kThreadsUnasked, std::thread::hardware_concurrency());
  }
  absl::StatusOr<verify::Result> checked = VerifyNewest(env->db.get(), threads, callbacks);
  if (!checked.ok()) {
    return Fail(checked.status());
  }
  *result = *checked;
  if (result->stopped) {
    return Stopped();
  }
  return result->findings == 0 ? JOHNNY_OK
                               : Fail(Code::kCorrupt, absl::StrCat("verification has ", result->findings, " findings"));
}

}  // namespace
}  // namespace johnny::api

const char* johnny_finding_name(uint32_t kind) {
  return kind < johnny::verify::kFindingKinds ? johnny::api::kKindNames[kind] : "unknown";
}

int johnny_verify(johnny_env* env, const johnny_verify_options* given, johnny_verify_result* out) {
  return Guard([&] {
    if (int code = UseEnv(env); code != JOHNNY_OK) {
      return code;
    }
    johnny_verify_options options = {};
    if (int code = johnny::api::TakeStruct(given, &options); code != JOHNNY_OK) {
      return code;
    }
    if (options.threads > johnny::api::kMostThreads) {
      return Fail(Code::kInvalidArgument, absl::StrCat("threads must be 0 to ", johnny::api::kMostThreads));
    }
    johnny::verify::Result result;
    int code = johnny::api::RunVerify(env, options, &result);
    if (out == nullptr) {
      return code;
    }
    // Filled whatever was found, unlike other functions' results.
    johnny_verify_result figures = {sizeof figures, result.pages_checked, result.entries_checked, result.findings};
    int filled = johnny::api::FillStruct(figures, out);
    return code != JOHNNY_OK ? code : filled;
  });
}

int johnny_scrub_start(johnny_env* env, const johnny_scrub_options* given) {
  return Guard([&] {
    if (int code = UseEnv(env); code != JOHNNY_OK) {
      return code;
    }
    johnny_scrub_options options = {};
    if (int code = johnny::api::TakeStruct(given, &options); code != JOHNNY_OK) {
      return code;
    }
    if (env->scrubber.IsThisThread()) {
      return Fail(Code::kBusy, "a scrub's callback cannot begin another");
    }
    johnny::MutexLock lock(&env->scrub_mutex);
    if (env->scrubber.progress().running) {
      return Fail(Code::kInUse, "the environment is being scrubbed already");
    }
    bool started = env->scrubber.Start(
        env->db.get(),
        {options.bytes_per_second == 0 ? johnny::api::kBytesPerSecondUnasked : options.bytes_per_second,
         std::chrono::seconds(options.interval_s), johnny::api::FindingCallback(options.on_finding, options.context)});
    return started ? static_cast<int>(JOHNNY_OK) : Fail(Code::kNoMemory, "the system gives no thread to scrub with");
  });
}

int johnny_scrub_stop(johnny_env* env) {
  return Guard([&] {
    if (int code = UseEnv(env); code != JOHNNY_OK) {
      return code;
    }
    if (env->scrubber.IsThisThread()) {
      return Fail(Code::kBusy, "a scrub's callback ends it by what it returns");
    }
    johnny::MutexLock lock(&env->scrub_mutex);
    env->scrubber.Stop();
    return static_cast<int>(JOHNNY_OK);
  });
}

int johnny_scrub_get_info(johnny_env* env, johnny_scrub_info* out) {
  return Guard([&] {
    if (int code = UseEnv(env); code != JOHNNY_OK) {
      return code;
    }
    if (out == nullptr) {
      return Fail(Code::kInvalidArgument, "info is NULL");
    }
    Scrubber::Progress progress = env->scrubber.progress();
    johnny_scrub_info info = {sizeof info, progress.running ? 1u : 0u, progress.passes, progress.pages, progress.findings};
    return johnny::api::FillStruct(info, out);
  });
}
