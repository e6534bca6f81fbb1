// The puppet's side: reads commands, and answers each with a line.
#include <johnny/johnny.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <vector>

#include "processes/puppet.h"
#include "support/test_db.h"

namespace johnny::test {
namespace {

using Words = std::vector<std::string>;

std::string ValueOf(uint64_t number, size_t size, uint32_t seed) {
  return NumberedKey(number) + Pattern(size, seed + static_cast<uint32_t>(number));
}

class Strings {
 public:
  int Run();

 private:
  static std::string Name(int code) {
    return code == JOHNNY_OK || code == JOHNNY_NOT_FOUND ? CodeName(code) : CodeName(code) + "\t" + johnny_last_error_message();
  }
  static uint64_t Number(const std::string& word) { return std::strtoull(word.c_str(), nullptr, 10); }
  johnny_txn* Txn(const Words& words) { return txns_[words.at(1)]; }

  std::string Perform(const Words& words);
  std::string Open(const Words& words);
  std::string Begin(const Words& words, uint32_t flags);
  std::string End(const Words& words);
  std::string Get(const Words& words);
  std::string Fill(const Words& words);
  std::string Check(const Words& words);
  std::string All(const Words& words);
  std::string Info(const std::string& field);
  std::string Readers();
  std::string Churn(uint64_t milliseconds);

  johnny_env* env_ = nullptr;
  std::map<std::string, johnny_txn*> txns_;
};

std::string Strings::Open(const Words& words) {
  johnny_options options = TestOptions();
  options.flags = 0;
  for (size_t i = 2; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "create") {
      options.flags |= JOHNNY_CREATE;
    } else if (word == "read-only") {
      options.flags |= JOHNNY_READ_ONLY;
    } else if (word == "lazy") {
      options.durability = JOHNNY_LAZY;
    } else if (word == "two-phase") {
      options.durability = JOHNNY_TWO_PHASE;
    } else if (word == "single-sync") {
      options.durability = JOHNNY_SINGLE_SYNC;
    } else if (word.rfind("readers=", 0) == 0) {
      options.max_readers = static_cast<uint32_t>(Number(word.substr(8)));
    } else if (word.rfind("budget=", 0) == 0) {
      options.memory_budget = Number(word.substr(7));
    } else {
      return "no such option";
    }
  }
  return Name(johnny_open(words.at(1).c_str(), &options, &env_));
}

std::string Strings::Begin(const Words& words, uint32_t flags) { return Name(johnny_begin(env_, flags, &txns_[words.at(1)])); }

std::string Strings::End(const Words& words) {
  johnny_txn* txn = Txn(words);
  txns_.erase(words[1]);
  return Name(words[0] == "commit" ? johnny_commit(txn) : johnny_abort(txn));
}

std::string Strings::Get(const Words& words) {
  johnny_slice value{};
  int code = johnny_get(Txn(words), nullptr, words.at(2).data(), words.at(2).size(), &value);
  return code == JOHNNY_OK ? "=" + std::string(View(value)) : Name(code);
}

std::string Strings::Fill(const Words& words) {
  for (uint64_t i = Number(words.at(2)); i < Number(words.at(3)); ++i) {
    std::string key = NumberedKey(i);
    std::string value = ValueOf(i, Number(words.at(4)), static_cast<uint32_t>(Number(words.at(5))));
    int code = johnny_put(Txn(words), nullptr, key.data(), key.size(), value.data(), value.size(), 0);
    if (code != JOHNNY_OK) {
      return Name(code);
    }
  }
  return Name(JOHNNY_OK);
}

std::string Strings::Check(const Words& words) {
  uint64_t from = Number(words.at(2)), to = Number(words.at(3)), count = 0;
  for (uint64_t i = from; i < to; ++i) {
    std::string key = NumberedKey(i);
    johnny_slice value{};
    int code = johnny_get(Txn(words), nullptr, key.data(), key.size(), &value);
    if (code != JOHNNY_OK) {
      return Name(code);
    }
    if (View(value) != ValueOf(i, Number(words.at(4)), static_cast<uint32_t>(Number(words.at(5))))) {
      return "wrong value of " + key;
    }
  }
  int code = johnny_count(Txn(words), nullptr, nullptr, nullptr, &count);
  return code == JOHNNY_OK && count != to - from ? "there are " + std::to_string(count) + " entries" : Name(code);
}

std::string Strings::All(const Words& words) {
  johnny_cursor* cursor = nullptr;
  int code = johnny_cursor_open(Txn(words), nullptr, &cursor);
  if (code != JOHNNY_OK) {
    return Name(code);
  }
  std::string all;
  johnny_slice key{}, value{};
  while ((code = johnny_cursor_next(cursor, &key, &value)) == JOHNNY_OK) {
    all += (all.empty() ? "" : " ") + std::string(View(key)) + "=" + std::string(View(value));
  }
  johnny_cursor_close(cursor);
  return code == JOHNNY_NOT_FOUND ? all : Name(code);
}

std::string Strings::Info(const std::string& field) {
  johnny_env_info info{};
  info.struct_size = sizeof info;
  int code = johnny_env_get_info(env_, &info);
  if (code != JOHNNY_OK) {
    return Name(code);
  }
  const std::map<std::string, uint64_t> fields = {{"newest", info.last_txn_id},    {"oldest-reader", info.oldest_reader_id},
                                                  {"pending", info.pending_pages}, {"used", info.used_pages},
                                                  {"pages", info.page_count},      {"size", info.file_size},
                                                  {"readers", info.readers},       {"clean", info.clean},
                                                  {"database", info.database_id},  {"max-readers", info.max_readers}};
  auto found = fields.find(field);
  return found == fields.end() ? "no such field" : std::to_string(found->second);
}

std::string Strings::Readers() {
  std::string readers;
  auto visit = [](void* context, const johnny_reader_info* reader) {
    auto* text = static_cast<std::string*>(context);
    *text += (text->empty() ? "" : " ") + std::to_string(reader->process_id) + ":" + std::to_string(reader->snapshot);
    return 0;
  };
  int code = johnny_reader_list(env_, visit, &readers);
  return code == JOHNNY_OK ? readers : Name(code);
}

std::string Strings::Churn(uint64_t milliseconds) {
  auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
  uint64_t commits = 0;
  for (; std::chrono::steady_clock::now() < end; ++commits) {
    johnny_txn* txn = nullptr;
    int code = johnny_begin(env_, 0, &txn);
    for (uint64_t i = 0; code == JOHNNY_OK && i < 20; ++i) {
      std::string key = NumberedKey((commits * 7919 + i * 31) % 2000), value = Pattern(50 + commits % 200, 1);
      code = johnny_put(txn, nullptr, key.data(), key.size(), value.data(), value.size(), 0);
    }
    code = code == JOHNNY_OK ? johnny_commit(txn) : code;
    if (code != JOHNNY_OK) {
      return Name(code);
    }
  }
  return std::to_string(commits);
}

std::string Strings::Perform(const Words& words) {
  const std::string& verb = words.at(0);
  if (verb == "open") return Open(words);
  if (verb == "close") return Name(johnny_close(env_));
  if (verb == "sync") return Name(johnny_sync(env_));
  if (verb == "verify") return Name(johnny_verify(env_, nullptr, nullptr));
  if (verb == "read") return Begin(words, JOHNNY_READ);
  if (verb == "write") return Begin(words, 0);
  if (verb == "try") return Begin(words, JOHNNY_NO_WAIT);
  if (verb == "commit" || verb == "abort") return End(words);
  if (verb == "reset") return Name(johnny_reset(Txn(words)));
  if (verb == "renew") return Name(johnny_renew(Txn(words)));
  if (verb == "put") {
    const std::string &key = words.at(2), &value = words.at(3);
    return Name(johnny_put(Txn(words), nullptr, key.data(), key.size(), value.data(), value.size(), 0));
  }
  if (verb == "delete") return Name(johnny_delete(Txn(words), nullptr, words.at(2).data(), words.at(2).size()));
  if (verb == "clear") return Name(johnny_table_clear(Txn(words), nullptr));
  if (verb == "get") return Get(words);
  if (verb == "fill") return Fill(words);
  if (verb == "check") return Check(words);
  if (verb == "all") return All(words);
  if (verb == "id") return std::to_string(johnny_txn_id(Txn(words)));
  if (verb == "info") return Info(words.at(1));
  if (verb == "readers") return Readers();
  if (verb == "reader-check") {
    uint32_t freed = 0;
    int code = johnny_reader_check(env_, &freed);
    return code == JOHNNY_OK ? std::to_string(freed) : Name(code);
  }
  if (verb == "churn") return Churn(Number(words.at(1)));
  if (verb == "fork") {
    pid_t child = ::fork();
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, 0);
      ::alarm(300);  // should the test forget it
      for (;;) {
        ::pause();
      }
    }
    return std::to_string(child);
  }
  if (verb == "setuid") return ::setuid(static_cast<uid_t>(Number(words.at(1)))) == 0 ? "OK" : std::strerror(errno);
  if (verb == "reads") return ::access(words.at(1).c_str(), R_OK) == 0 ? "yes" : "no";
  if (verb == "exit") std::_Exit(0);
  return "no such command";
}

int Strings::Run() {
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream in(line);
    Words words;
    for (std::string word; in >> word;) {
      words.push_back(word);
    }
    std::string answer;
    try {
      answer = Perform(words);
    } catch (const std::out_of_range&) {
      answer = "a word is missing";
    }
    std::cout << answer << "\n" << std::flush;
  }
  std::_Exit(0);  // the test has gone; what is open stays open, as after a kill
}

}  // namespace

int PuppetMain() { return Strings().Run(); }

}  // namespace johnny::test
