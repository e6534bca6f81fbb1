// --verify: the whole-file check, with progress on a terminal and one line per finding.
#include <exception>
#include <nlohmann/json.hpp>
#include <string>

#include "../text.h"
#include "forms.h"

namespace johnny::tools::stat {
namespace {

// A file that is all damage could have millions of findings; JSON is built in memory.
constexpr size_t kMostJsonFindings = 10000;

struct Verification {
  const Context* context;
  Json findings = Json::array();
  ProgressLine progress;
  Stopwatch watch;
  bool stopped = false;
  std::exception_ptr thrown;
};

void Report(Verification* verification, const johnny_finding& finding) {
  const std::string message = Printable(finding.message ? finding.message : "");
  if (verification->context->json) {
    if (verification->findings.size() >= kMostJsonFindings) return;
    Json j;
    j["kind"] = johnny_finding_name(finding.kind);
    j["page"] = finding.page;
    j["table"] = finding.table ? Json(EscapeBytes(finding.table)) : Json(nullptr);
    j["message"] = message;
    verification->findings.push_back(j);
    return;
  }
  std::string line;
  if (finding.page != 0) line += "page " + std::to_string(finding.page) + ": ";
  if (finding.table != nullptr) line += "table " + TableTitle(finding.table) + ": ";
  verification->progress.Clear();
  verification->context->output->Write(line + message + "\n");
  verification->context->output->Flush();
}

int OnFinding(void* context, const johnny_finding* finding) noexcept {
  auto* verification = static_cast<Verification*>(context);
  try {
    Report(verification, *finding);
    return 0;
  } catch (...) {
    verification->thrown = std::current_exception();
    return 1;
  }
}

int OnProgress(void* context, uint64_t done, uint64_t total) noexcept {
  auto* verification = static_cast<Verification*>(context);
  if (Interrupted()) {
    verification->stopped = true;
    return 1;
  }
  try {
    if (!verification->progress.Due()) return 0;
    verification->progress.Show("verifying: " + Percent(done, total) + ", " + WithThousands(done) + " of " +
                                Counted(total, "page") + ", " + Rate(done, verification->watch.Seconds()) + " pages/s");
    return 0;
  } catch (...) {
    return 0;  // progress is not worth failing for
  }
}

void ShowResult(const Verification& verification, const johnny_verify_result& result, Json* json) {
  const double seconds = verification.watch.Seconds();
  if (verification.context->json) {
    (*json)["complete"] = !verification.stopped;
    (*json)["pages_checked"] = result.pages_checked;
    (*json)["entries_checked"] = result.entries_checked;
    (*json)["seconds"] = seconds;
    (*json)["findings"] = result.findings;
    (*json)["finding_list"] = verification.findings;
    return;
  }
  verification.context->output->Write(
      (verification.stopped ? "Interrupted; verified " : "Verified ") + Counted(result.pages_checked, "page") + " and " +
      Counted(result.entries_checked, "entry", "entries") + " in " + HumanSeconds(seconds) + ": " +
      (result.findings == 0 ? "nothing wrong found" : Counted(result.findings, "finding")) + "\n");
}

}  // namespace

int ShowVerify(const Context& context, Json* json) {
  Verification verification;
  verification.context = &context;
  auto result = Sized<johnny_verify_result>();
  auto options = Sized<johnny_verify_options>();
  options.on_finding = OnFinding;
  options.on_progress = OnProgress;
  options.context = &verification;
  const int error = johnny_verify(context.env, &options, &result);
  const ToolError failure = error == JOHNNY_OK ? ToolError(kExitClean, "") : LastError(error);
  verification.progress.Clear();
  if (verification.thrown) std::rethrow_exception(verification.thrown);
  const bool reported = result.findings > 0 && (error == JOHNNY_CORRUPT || error == JOHNNY_STOPPED);
  if (error != JOHNNY_OK && !reported && !verification.stopped) throw failure;
  ShowResult(verification, result, json);
  if (result.findings > 0) return kExitCorrupt;
  return verification.stopped ? kExitWarning : kExitClean;
}

}  // namespace johnny::tools::stat
