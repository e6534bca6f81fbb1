// Measures one engine in one process; compare.py runs many of these, engines alternating, and makes tables and charts.
//
//   bench_compare --engine NAME --dir DIRECTORY --works WORK,... [--data SET] [--entries N] [--operations N] [--ageing ROUNDS]
//                 [--cache BYTES] [--loaded]
//   bench_compare --list
//
// prints a JSON object for each figure as soon as it has it. What is fair:
//   - Data, order and choice of keys come from fixed seeds and are the same for all engines; every put stores another value.
//   - Each work that writes has a process and a database of its own, loaded in that process just before (not timed), settled (an
//   LSM
//     tree is compacted, a log checkpointed, everything synced), closed, and opened with the durability to be measured.
//   - Works that only read an in-memory state ("reads") follow each other in one process: nothing that one does can be seen by
//   the
//     next. They begin when the whole database has been scanned once.
//   - "aged" ones follow each other, too, since their ageing is the same and takes long. Further overwrites are more of the same.
//   They
//     are not settled after ageing: what an LSM tree has put off is part of its age.
//   - Cold ones load in a child that ends; the process that is measured sees the database for the first time.
//   - What an engine does in background threads after the last commit of a work is not timed, nor is closing. Sizes are those of
//     settled and closed databases, except behind a stalled reader.
// Lazy means: a process that is killed loses nothing it has committed, unless the engine says otherwise (LMDB with MDB_NOSYNC can
// lose the database to a power cut, SQLite with synchronous = OFF too). Engines with one durable mode have it in both durable
// works.
#include <cstdio>
#include <cstdlib>

#include "compare/work.h"

namespace bench {

void Die(const char* what, const char* why) {
  std::fprintf(stderr, "bench_compare: %s: %s\n", what, why);
  std::_Exit(1);  // other threads may be at work
}

namespace {

[[noreturn]] void Usage() {
  Die("usage",
      "bench_compare --engine NAME --dir DIRECTORY --works WORK,... [--data SET] [--entries N] [--operations N] [--ageing "
      "ROUNDS] "
      "[--cache BYTES] [--loaded], or --list");
}

std::string Quoted(const std::string& text) { return '"' + text + '"'; }

// What the driver needs to know.
void List() {
  std::printf("{\"engines\": {");
  const char* comma = "";
  for (const std::string& name : EngineNames()) {
    std::printf("%s%s: %s", comma, Quoted(name).c_str(), Quoted(MakeEngine(name)->Describe()).c_str());
    comma = ", ";
  }
  std::printf("},\n \"data\": {");  // bytes of an entry
  comma = "";
  for (const std::string& name : DataSet::Names()) {
    std::printf("%s%s: %llu", comma, Quoted(name).c_str(), static_cast<unsigned long long>(DataSet(name).bytes(1)));
    comma = ", ";
  }
  std::printf("},\n \"works\": [");
  comma = "";
  for (const Work& work : AllWorks()) {
    std::printf("%s\n  {\"name\": \"%s\", \"group\": \"%s\", \"data\": \"%s\", \"entries\": %llu}", comma, work.name, work.group,
                work.data, static_cast<unsigned long long>(work.entries));
    comma = ",";
  }
  std::printf("]}\n");
}

std::vector<std::string> Split(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= text.size();) {
    size_t end = std::min(text.find(',', at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

uint64_t Number(const char* text) {
  char* end = nullptr;
  uint64_t number = std::strtoull(text, &end, 10);
  if (end == text || *end != '\0') {
    Die(text, "is not a number");
  }
  return number;
}

Settings Parse(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i < argc; ++i) {
    std::string name = argv[i];
    if (name == "--loaded") {
      settings.loaded = true;
      continue;
    }
    if (++i == argc) {
      Usage();
    }
    if (name == "--engine") {
      settings.engine = argv[i];
    } else if (name == "--dir") {
      settings.directory = argv[i];
    } else if (name == "--works") {
      settings.works = Split(argv[i]);
    } else if (name == "--data") {
      settings.data = argv[i];
    } else if (name == "--entries") {
      settings.entries = Number(argv[i]);
    } else if (name == "--operations") {
      settings.operations = Number(argv[i]);
    } else if (name == "--ageing") {
      settings.ageing = Number(argv[i]);
    } else if (name == "--cache") {
      settings.tuning.cache_bytes = Number(argv[i]);
    } else {
      Usage();
    }
  }
  if (settings.engine.empty() || settings.directory.empty() || settings.works.empty() || settings.entries < 2 ||
      settings.entries > UINT32_MAX / 2) {
    Usage();
  }
  return settings;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  if (argc == 2 && std::string(argv[1]) == "--list") {
    bench::List();
    return 0;
  }
  bench::Bench bench(bench::Parse(argc, argv));
  bench.Run();
  return 0;
}
