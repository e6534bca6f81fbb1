#include "engine.h"

namespace bench {

size_t Engine::GetMany(int reader, const std::string_view* keys, size_t count, uint64_t* sum) {
  size_t found = 0;
  std::string_view value;
  for (size_t i = 0; i < count; ++i) {
    if (Get(reader, keys[i], &value)) {
      ++found;
      *sum += Touch(value);
    }
  }
  return found;
}

void Engine::WriteBatch(const Write* writes, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    Put(writes[i].key, writes[i].value);
  }
}

void Engine::BulkLoad(Source* source) {
  Write entry;
  for (bool more = source->Next(&entry); more;) {
    BeginWrite();
    for (uint64_t i = 0; i < kBulkBatch && more; ++i) {
      Append(entry.key, entry.value);
      more = source->Next(&entry);
    }
    Commit();
  }
}

uint64_t Engine::Len(int reader) {
  uint64_t entries = 0;
  Scan(reader, true, &entries);
  return entries;
}

std::string Engine::Compact(const std::string& /*path*/, const std::string& /*spare*/) { return ""; }

// ---- Names ----

namespace {

struct Named {
  const char* name;
  std::unique_ptr<Engine> (*make)(const Tuning& tuning);
};

const Named kEngines[] = {
    {"johnny", [](const Tuning&) { return MakeJohnny(); }},
#ifdef JOHNNY_BENCH_LMDB
    {"lmdb", [](const Tuning&) { return MakeLmdb(); }},
    {"lmdb-writemap", [](const Tuning&) { return MakeLmdb({.write_map = true}); }},
    {"lmdb-nordahead", [](const Tuning&) { return MakeLmdb({.no_readahead = true}); }},
#endif
#ifdef JOHNNY_BENCH_ROCKSDB
    {"rocksdb", MakeRocksdb},
#endif
#ifdef JOHNNY_BENCH_LEVELDB
    {"leveldb", MakeLeveldb},
#endif
#ifdef JOHNNY_BENCH_SQLITE
    {"sqlite", MakeSqlite},
#endif
};

}  // namespace

std::vector<std::string> EngineNames() {
  std::vector<std::string> names;
  for (const Named& engine : kEngines) {
    names.emplace_back(engine.name);
  }
  return names;
}

std::unique_ptr<Engine> MakeEngine(const std::string& name, const Tuning& tuning) {
  for (const Named& engine : kEngines) {
    if (name == engine.name) {
      return engine.make(tuning);
    }
  }
  Die(name.c_str(), "this program was built without an engine of this name");
}

}  // namespace bench
