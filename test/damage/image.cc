#include "damage/image.h"

#include <algorithm>
#include <cstring>

namespace johnny::test {
namespace {

Image Build() {
  Image image;
  TempDir dir;
  std::string path = dir.File("db");
  johnny_options options = TestOptions(kPageSize);
  options.durability = JOHNNY_TWO_PHASE;
  State state{{"", {}}, {"empty", {}}, {"named", {}}};
  {
    Env env(path, options);
    for (int commit = 0; commit < 5; ++commit) {
      Txn txn(env);
      auto put = [&](const std::string& name, const std::string& key, const std::string& value) {
        EXPECT_OK(txn.Put(key, value, 0, name.empty() ? nullptr : txn.Table(name)));
        state[name][key] = value;
      };
      txn.Table("empty");
      for (uint64_t i = static_cast<uint64_t>(commit); i < 500; i += commit == 0 ? 1 : 37) {
        put("", NumberedKey(i, 5, "shared/prefix/"), Pattern(50, static_cast<uint32_t>(i) + static_cast<uint32_t>(commit)));
      }
      for (uint64_t i = static_cast<uint64_t>(commit); i < 60; i += commit == 0 ? 1 : 17) {
        put("named", NumberedKey(i, 3), Pattern(100, static_cast<uint32_t>(commit)));
      }
      put("", "large", Pattern(9000, static_cast<uint32_t>(commit)));
      put("", "larger", Pattern(270000, 1));
      put("named", "large", Pattern(5000, 2));
      if (commit == 4) {
        EXPECT_OK(txn.Delete("shared/prefix/00100"));
        state[""].erase("shared/prefix/00100");
      }
      EXPECT_OK(txn.Commit());
      image.older.push_back(ReadFile(path));
      image.previous = std::exchange(image.newest, state);
    }
    EXPECT_OK(env.Close());
  }
  image.bytes = ReadFile(path);
  image.bytes.resize(image.bytes.size() / kPageSize * kPageSize);
  options.flags = JOHNNY_READ_ONLY;
  Env env(path, options);
  Txn txn(env, JOHNNY_READ);
  auto collect = [](void* context, const johnny_page_run* run) {
    for (uint64_t i = 0; i < run->pages; ++i) {
      static_cast<std::vector<UsedPage>*>(context)->push_back(
          {run->first_page + i, run->kind, run->level, run->table != nullptr ? run->table : "(none)"});
    }
    return 0;
  };
  EXPECT_OK(Result(johnny_page_list(txn.get(), collect, &image.pages)));
  return image;
}

}  // namespace

const Image& SampleImage() {
  static const Image* image = new Image(Build());
  return *image;
}

Forger ForgerOf(std::string* bytes) {
  static const uint64_t kDatabaseId = MasterOf(SampleImage().bytes, -1).database_id;
  return Forger(bytes, kPageSize, kDatabaseId);
}

}  // namespace johnny::test
