// Salvage: all that is not damaged, nothing that is wrong, and each missing entry within a loss that was reported.
#include <filesystem>
#include <optional>
#include <set>

#include "damage/image.h"
#include "node/branch.h"

namespace johnny::test {
namespace {

struct Loss {
  std::optional<std::string> table;
  std::optional<std::string> from, to;
  uint64_t page = 0, entries = 0;
  std::string message;

  bool Covers(const std::string& name, const std::string& key) const {
    return table == name && (!from || key >= *from) && (!to || key < *to);
  }
};

struct Salvaged {
  Result code = JOHNNY_OK;
  std::vector<Loss> losses;
  johnny_salvage_result result = {};
  State state;            // of tables whose names are known
  std::set<Entry> found;  // in "lost+found/..."
};

int Collect(void* context, const johnny_loss* loss) {
  auto text = [](const johnny_slice& slice) {
    return slice.data == nullptr ? std::nullopt : std::optional<std::string>(View(slice));
  };
  static_cast<Salvaged*>(context)->losses.push_back(
      {loss->table == nullptr ? std::nullopt : std::optional<std::string>(loss->table), text(loss->from), text(loss->to),
       loss->page, loss->entries, loss->message});
  return 0;
}

class SalvageTest : public testing::Test {
 protected:
  Salvaged Salvage(const std::string& bytes) {
    std::string path = dir_.File("damaged"), out = dir_.File("out");
    WriteFile(path, bytes);
    std::filesystem::remove(out);
    std::filesystem::remove(out + "-lock");
    Salvaged salvaged;
    salvaged.result.struct_size = sizeof salvaged.result;
    johnny_options options = TestOptions(8192);  // the page size is the damaged one's
    salvaged.code = johnny_salvage(path.c_str(), out.c_str(), &options, Collect, &salvaged, &salvaged.result);
    EXPECT_EQ(ReadFile(path), bytes) << "the damaged file is not to be changed";
    EXPECT_EQ(salvaged.result.losses, salvaged.losses.size());
    if (std::filesystem::exists(out)) {
      Read(out, &salvaged);
    }
    return salvaged;
  }

  static void Read(const std::string& path, Salvaged* salvaged) {
    johnny_options options = TestOptions();
    options.flags = JOHNNY_READ_ONLY;
    Env env(path, options);
    EXPECT_TRUE(env.VerifyClean());
    EXPECT_EQ(env.Info().page_size, kPageSize);
    Txn txn(env, JOHNNY_READ);
    salvaged->state[""] = txn.All();
    for (const std::string& name : txn.TableNames()) {
      johnny_table* table = nullptr;
      EXPECT_OK(johnny_table_open(txn.get(), name.c_str(), 0, &table));
      Contents contents = txn.All(table);
      if (name.rfind("lost+found/page-", 0) == 0) {
        salvaged->found.insert(contents.begin(), contents.end());
      } else {
        salvaged->state[name] = std::move(contents);
      }
    }
  }

  // What must hold whatever was damaged.
  static void ExpectNothingWrong(const State& truth, const Salvaged& salvaged) {
    uint64_t missing = 0;
    for (const auto& [name, contents] : salvaged.state) {
      ASSERT_EQ(truth.count(name), 1u) << name;
      for (const auto& [key, value] : contents) {
        auto right = truth.at(name).find(key);
        ASSERT_TRUE(right != truth.at(name).end() && right->second == value) << name << " " << key << " is not as it was";
      }
    }
    bool catalog_damaged = false;
    for (const Loss& loss : salvaged.losses) {
      catalog_damaged |= loss.message.rfind("catalog", 0) == 0;
    }
    for (const auto& [name, contents] : truth) {
      auto there = salvaged.state.find(name);
      for (const auto& [key, value] : contents) {
        if (there != salvaged.state.end() && there->second.count(key) != 0) {
          continue;
        }
        if (salvaged.found.count({key, value}) != 0) {
          continue;
        }
        ++missing;
        bool covered = catalog_damaged;
        for (const Loss& loss : salvaged.losses) {
          covered |= loss.Covers(name, key);
        }
        ASSERT_TRUE(covered) << name << " " << key << " is missing and not reported";
      }
    }
    EXPECT_TRUE(catalog_damaged || missing <= salvaged.result.entries_lost) << missing;
    EXPECT_EQ(salvaged.code.code(), salvaged.losses.empty() ? JOHNNY_OK : JOHNNY_CORRUPT);
  }

  static std::string Zeroed(std::string bytes, PageNumber page) {
    return bytes.replace(page * kPageSize, kPageSize, kPageSize, '\0');
  }
  static PageNumber RootOf(const Image& image, const std::string& table) {
    const UsedPage* root = nullptr;
    for (const UsedPage& page : image.pages) {
      bool node = page.kind == JOHNNY_PAGE_BRANCH || page.kind == JOHNNY_PAGE_LEAF;
      if (node && page.table == table && (root == nullptr || page.level > root->level)) {
        root = &page;
      }
    }
    EXPECT_NE(root, nullptr);
    return root->page;
  }

  const Image& image_ = SampleImage();
  TempDir dir_;
};

TEST_F(SalvageTest, NothingIsLostOfASoundDatabase) {
  Salvaged salvaged = Salvage(image_.bytes);
  EXPECT_OK(salvaged.code);
  EXPECT_EQ(salvaged.state, image_.newest);
  EXPECT_TRUE(salvaged.losses.empty());
}

TEST_F(SalvageTest, AnyOnePageDamaged) {
  uint64_t losses = 0;
  for (const UsedPage& page : image_.pages) {
    SCOPED_TRACE(page.page);
    Salvaged salvaged = Salvage(Zeroed(image_.bytes, page.page));
    ExpectNothingWrong(image_.newest, salvaged);
    losses += salvaged.losses.size();
  }
  EXPECT_GT(losses, 20u);
}

TEST_F(SalvageTest, WhatLiesBelowADamagedBranchIsFoundAgain) {
  Salvaged salvaged = Salvage(Zeroed(image_.bytes, RootOf(image_, "")));
  EXPECT_EQ(salvaged.code, JOHNNY_CORRUPT);
  EXPECT_EQ(salvaged.state, image_.newest);
  ASSERT_EQ(salvaged.losses.size(), 1u);
  EXPECT_EQ(salvaged.losses[0].table, "");
  EXPECT_EQ(salvaged.losses[0].entries, 0u);
}

TEST_F(SalvageTest, TablesWithoutANameAreFoundAgain) {
  PageNumber catalog = 0;
  for (const UsedPage& page : image_.pages) {
    if (page.kind == JOHNNY_PAGE_LEAF && page.table == "(none)") {
      catalog = page.page;
    }
  }
  ASSERT_NE(catalog, 0u);
  Salvaged salvaged = Salvage(Zeroed(image_.bytes, catalog));
  EXPECT_EQ(salvaged.code, JOHNNY_CORRUPT);
  EXPECT_EQ(salvaged.state[""], image_.newest.at(""));
  const Contents& named = image_.newest.at("named");
  EXPECT_EQ(salvaged.found, std::set<Entry>(named.begin(), named.end()));
}

TEST_F(SalvageTest, ValuesAsLongAsTheCatalogsAreNotTakenForOne) {
  std::string path = dir_.File("hashes");
  Contents hashes;
  PageNumber root = 0;
  {
    Env env(path);
    Txn txn(env);
    for (uint64_t i = 0; i < 20; ++i) {
      hashes[NumberedKey(i)] = Pattern(format::kTableRecordSize, static_cast<uint32_t>(i));
      ASSERT_OK(txn.Put(NumberedKey(i), hashes[NumberedKey(i)], 0, txn.Table("hashes")));
    }
    for (uint64_t i = 0; i < 100; ++i) {
      txn.Table(NumberedKey(i, 3, "table/"));
    }
    ASSERT_OK(txn.Commit());
    ASSERT_OK(env.Close());
  }
  std::string bytes = ReadFile(path);
  format::MasterPage master = MasterOf(bytes, -1);
  ASSERT_EQ(master.catalog.level, 1);
  // The catalog's root and the leaf with the table's record: the table has no name any more.
  const Byte* branch = At(&bytes, master.catalog.root.page);
  root = node::GetChild(branch, 0).page;
  Salvaged salvaged = Salvage(Zeroed(Zeroed(bytes, root), master.catalog.root.page));
  EXPECT_EQ(salvaged.found, std::set<Entry>(hashes.begin(), hashes.end()));
  for (const auto& [name, contents] : salvaged.state) {
    EXPECT_TRUE(name.empty() || name.rfind("table/", 0) == 0) << name;
  }
}

TEST_F(SalvageTest, SeveralPagesDamaged) {
  std::vector<PageNumber> nodes;
  for (const UsedPage& page : image_.pages) {
    nodes.push_back(page.page);
  }
  for (size_t i = 0; i < nodes.size(); i += 3) {
    SCOPED_TRACE(i);
    std::string bytes = Zeroed(Zeroed(image_.bytes, RootOf(image_, "")), nodes[i]);
    ExpectNothingWrong(image_.newest, Salvage(Zeroed(bytes, nodes[(i * 7 + 5) % nodes.size()])));
  }
}

TEST_F(SalvageTest, AFileCutShort) {
  for (uint64_t pages = 17; pages < image_.page_count(); pages += 5) {
    SCOPED_TRACE(pages);
    ExpectNothingWrong(image_.newest, Salvage(image_.bytes.substr(0, pages * kPageSize)));
  }
}

// The newest master page gone: the commit before it, whole.
TEST_F(SalvageTest, OneMasterPageDamaged) {
  int newest = MasterOf(image_.bytes, 0).txn > MasterOf(image_.bytes, 1).txn ? 0 : 1;
  for (int slot = 0; slot < 2; ++slot) {
    std::string bytes = image_.bytes;
    bytes[format::kMasterSlotOffset[slot] + 100] ^= 1;
    Salvaged salvaged = Salvage(bytes);
    EXPECT_OK(salvaged.code);
    EXPECT_EQ(salvaged.result.txn_id, MasterOf(image_.bytes, 1 - slot).txn);
    ExpectNothingWrong(image_.newest, salvaged);
    if (slot != newest) {
      EXPECT_EQ(salvaged.state, image_.newest);
    }
  }
}

TEST_F(SalvageTest, WithoutAMasterPageNothingIsWritten) {
  Salvaged salvaged = Salvage(std::string(format::kMasterRegion, '\0') + image_.bytes.substr(format::kMasterRegion));
  EXPECT_EQ(salvaged.code, JOHNNY_NOT_A_DATABASE);
  EXPECT_FALSE(std::filesystem::exists(dir_.File("out")));
}

TEST_F(SalvageTest, ACatalogOfManyTablesWhoseRootIsDamaged) {
  std::string path = dir_.File("tables");
  State state{{"", {}}};
  PageNumber root = 0;
  {
    Env env(path);
    Txn txn(env);
    for (uint64_t i = 0; i < 150; ++i) {
      std::string name = NumberedKey(i, 3, "table/");
      ASSERT_OK(txn.Put(name + "/key", NumberedKey(i), 0, txn.Table(name)));
      state[name][name + "/key"] = NumberedKey(i);
    }
    for (uint64_t i = 0; i < 20; ++i) {  // as long as a catalog's records, but none
      ASSERT_OK(
          txn.Put(NumberedKey(i), Pattern(format::kTableRecordSize, static_cast<uint32_t>(i)), 0, txn.Table("table/hashes")));
      state["table/hashes"][NumberedKey(i)] = Pattern(format::kTableRecordSize, static_cast<uint32_t>(i));
    }
    ASSERT_OK(txn.CreateSnapshot("before"));
    ASSERT_OK(txn.Commit());
    ASSERT_OK(env.Close());
  }
  std::string bytes = ReadFile(path);
  root = MasterOf(bytes, -1).catalog.root.page;
  ASSERT_GT(MasterOf(bytes, -1).catalog.level, 0);
  Salvaged salvaged = Salvage(Zeroed(bytes, root));
  EXPECT_EQ(salvaged.code, JOHNNY_CORRUPT);
  EXPECT_EQ(salvaged.state, state);
  EXPECT_TRUE(salvaged.found.empty()) << salvaged.found.size();
  std::string messages;
  for (const Loss& loss : salvaged.losses) {
    messages += loss.message + "\n";
  }
  EXPECT_NE(messages.find("the named snapshot \"before\" is not carried over"), std::string::npos) << messages;
}

TEST_F(SalvageTest, WrongUse) {
  std::string path = dir_.File("damaged"), out = dir_.File("out");
  EXPECT_EQ(Result(johnny_salvage(nullptr, out.c_str(), nullptr, nullptr, nullptr, nullptr)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_salvage(path.c_str(), nullptr, nullptr, nullptr, nullptr, nullptr)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_salvage(path.c_str(), out.c_str(), nullptr, nullptr, nullptr, nullptr)), JOHNNY_NO_SUCH_FILE);
  WriteFile(path, image_.bytes);
  EXPECT_EQ(Result(johnny_salvage(path.c_str(), path.c_str(), nullptr, nullptr, nullptr, nullptr)), JOHNNY_EXISTS);
  {
    johnny_options options = TestOptions();
    options.flags = 0;
    Env env(path, options);
    EXPECT_EQ(Result(johnny_salvage(path.c_str(), out.c_str(), nullptr, nullptr, nullptr, nullptr)), JOHNNY_BUSY);
  }
  johnny_options options = TestOptions();
  options.struct_size = 0;
  EXPECT_EQ(Result(johnny_salvage(path.c_str(), out.c_str(), &options, nullptr, nullptr, nullptr)), JOHNNY_INVALID_ARGUMENT);
  options.struct_size = sizeof options.struct_size;  // of a version that had no options yet
  WriteFile(out, image_.bytes);
  EXPECT_EQ(Result(johnny_salvage(path.c_str(), out.c_str(), &options, nullptr, nullptr, nullptr)), JOHNNY_EXISTS);
  std::filesystem::remove(out);
  EXPECT_OK(johnny_salvage(path.c_str(), out.c_str(), &options, nullptr, nullptr, nullptr));
}

}  // namespace
}  // namespace johnny::test
