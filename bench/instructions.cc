// The library's hot paths, one at a time, for instructions.py, which counts their instructions under callgrind.
//
//   bench_instructions prepare DIRECTORY          makes the database
//   bench_instructions PATH DIRECTORY             runs one path in a copy of it; only Measured() counts
//   bench_instructions list                       name and operations of each path
//
// The database: 200,000 entries of 8 + 100 bytes put in random order, so that leaves are about 80 % full and free pages
// scattered.
#include <johnny/johnny.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

constexpr uint64_t kEntries = 200000;
constexpr uint64_t kBatch = 10000;
constexpr size_t kValueSize = 100;

[[noreturn]] void Die(const char* what, const char* why) {
  std::fprintf(stderr, "bench_instructions: %s: %s\n", what, why);
  std::exit(1);
}

void Ok(int code, const char* what) {
  if (code != JOHNNY_OK) {
    Die(what, johnny_last_error_message());
  }
}

class Random {
 public:
  uint64_t Below(uint64_t n) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return (state_ >> 33) % n;
  }

 private:
  uint64_t state_ = 2004;
};

struct Key {
  char bytes[8];
  explicit Key(uint64_t number) {
    number = __builtin_bswap64(number);
    std::memcpy(bytes, &number, sizeof bytes);
  }
};

// What the paths work on, and what they need ready before they are counted.
struct Setting {
  johnny_env* env = nullptr;
  johnny_txn* txn = nullptr;
  johnny_cursor* cursor = nullptr;
  Random random;
  char value[kValueSize] = {};
  uint64_t number = kEntries * 2;  // of the last key appended

  void Put(uint64_t key, int flags = 0) {
    Key bytes(key);
    std::memcpy(value, &key, sizeof key);
    value[8] = static_cast<char>(value[8] + 1);
    Ok(johnny_put(txn, nullptr, bytes.bytes, sizeof bytes.bytes, value, kValueSize, flags), "put");
  }
  void Write(uint64_t puts) {
    Ok(johnny_begin(env, 0, &txn), "begin");
    for (uint64_t i = 0; i < puts; ++i) {
      Put(random.Below(kEntries) * 2);
    }
    Ok(johnny_commit(txn), "commit");
    txn = nullptr;
  }
  void Get(uint64_t key) {
    Key bytes(key);
    johnny_slice found;
    if (johnny_get(txn, nullptr, bytes.bytes, sizeof bytes.bytes, &found) != (key % 2 == 0 ? JOHNNY_OK : JOHNNY_NOT_FOUND)) {
      Die("get", "not as expected");
    }
  }
};

struct Path {
  const char* name;
  uint64_t operations;
  bool reads;  // in a read transaction, begun before
  void (*run)(Setting* setting, uint64_t operations);
};

template <uint64_t kPuts>
void Commits(Setting* s, uint64_t operations) {
  for (uint64_t i = 0; i < operations; i += kPuts) {
    s->Write(kPuts);
  }
}

const Path kPaths[] = {
    {"get", 20000, true,
     [](Setting* s, uint64_t n) {
       while (n-- > 0) {
         s->Get(s->random.Below(kEntries) * 2);
       }
     }},
    {"get-absent", 20000, true,
     [](Setting* s, uint64_t n) {
       while (n-- > 0) {
         s->Get(s->random.Below(kEntries) * 2 + 1);
       }
     }},
    {"get-many", 64 * 400, true,
     [](Setting* s, uint64_t n) {
       constexpr size_t kAtOnce = 64;
       for (; n > 0; n -= kAtOnce) {
         std::vector<Key> bytes;
         johnny_slice keys[kAtOnce], values[kAtOnce];
         bytes.reserve(kAtOnce);
         for (johnny_slice& key : keys) {
           bytes.emplace_back(s->random.Below(kEntries) * 2);
           key = {bytes.back().bytes, sizeof bytes.back().bytes};
         }
         size_t found = 0;
         Ok(johnny_get_many(s->txn, nullptr, keys, kAtOnce, values, &found), "get many");
       }
     }},
    {"begin-end", 20000, false,
     [](Setting* s, uint64_t n) {
       while (n-- > 0) {
         johnny_txn* txn;
         Ok(johnny_begin(s->env, JOHNNY_READ, &txn), "begin");
         Ok(johnny_abort(txn), "end");
       }
     }},
    {"seek", 20000, true,
     [](Setting* s, uint64_t n) {
       johnny_slice key, value;
       while (n-- > 0) {
         Key from(s->random.Below(kEntries) * 2);
         Ok(johnny_cursor_seek(s->cursor, from.bytes, sizeof from.bytes, JOHNNY_SEEK_AT_OR_AFTER, &key, &value), "seek");
       }
     }},
    {"next", 100000, true,
     [](Setting* s, uint64_t n) {
       johnny_slice key, value;
       while (n-- > 0) {
         Ok(johnny_cursor_next(s->cursor, &key, &value), "next");
       }
     }},
    {"next-many", 256 * 390, true,
     [](Setting* s, uint64_t n) {
       johnny_slice keys[256], values[256];
       size_t count = 0;
       for (; n > 0; n -= 256) {
         Ok(johnny_cursor_next_many(s->cursor, 256, keys, values, &count), "next many");
       }
     }},
    {"append", 50000, false,
     [](Setting* s, uint64_t n) {
       for (uint64_t i = 0; i < n; ++i) {
         if (i % kBatch == 0) {
           Ok(johnny_begin(s->env, 0, &s->txn), "begin");
         }
         s->Put(s->number += 2, JOHNNY_APPEND);
         if ((i + 1) % kBatch == 0) {
           Ok(johnny_commit(s->txn), "commit");
         }
       }
       s->txn = nullptr;
     }},
    {"build", 50000, false,
     [](Setting* s, uint64_t n) {
       Ok(johnny_begin(s->env, 0, &s->txn), "begin");
       johnny_table* table = nullptr;
       johnny_builder* builder = nullptr;
       Ok(johnny_table_open(s->txn, "built", JOHNNY_TABLE_CREATE, &table), "table");
       Ok(johnny_builder_open(s->txn, table, 0, 0, &builder), "builder");
       for (uint64_t i = 0; i < n; ++i) {
         Key key(i);
         Ok(johnny_builder_add(builder, key.bytes, sizeof key.bytes, s->value, kValueSize), "add");
       }
       Ok(johnny_builder_finish(builder), "finish");
       johnny_builder_close(builder);
       Ok(johnny_commit(s->txn), "commit");
       s->txn = nullptr;
     }},
    {"commit-of-1", 2000, false, Commits<1>},
    {"put-by-100", 20000, false, Commits<100>},
    {"put-by-10k", 50000, false, Commits<kBatch>},
    {"insert-by-10k", 50000, false,
     [](Setting* s, uint64_t n) {
       for (uint64_t i = 0; i < n; ++i) {
         if (i % kBatch == 0) {
           Ok(johnny_begin(s->env, 0, &s->txn), "begin");
         }
         s->Put(s->random.Below(kEntries) * 2 + 1);
         if ((i + 1) % kBatch == 0) {
           Ok(johnny_commit(s->txn), "commit");
         }
       }
       s->txn = nullptr;
     }},
    {"delete-by-10k", 50000, false,
     [](Setting* s, uint64_t n) {
       for (uint64_t i = 0; i < n; ++i) {
         if (i % kBatch == 0) {
           Ok(johnny_begin(s->env, 0, &s->txn), "begin");
         }
         Key key((i * 7919) % kEntries * 2);  // 7919 is prime: each key once
         Ok(johnny_delete(s->txn, nullptr, key.bytes, sizeof key.bytes), "delete");
         if ((i + 1) % kBatch == 0) {
           Ok(johnny_commit(s->txn), "commit");
         }
       }
       s->txn = nullptr;
     }},
};

// The one function that is counted, with all that it calls.
extern "C" __attribute__((noinline)) void Measured(const Path* path, Setting* setting) { path->run(setting, path->operations); }

void Open(Setting* setting, const std::string& directory, bool durable) {
  johnny_options options;
  johnny_options_init(&options);
  options.flags = JOHNNY_CREATE;
  options.durability = durable ? JOHNNY_SINGLE_SYNC : JOHNNY_LAZY;
  options.sync_interval_ms = 0;  // a background thread would count, sometimes
  options.sync_bytes = 0;
  options.address_space = uint64_t{8} << 30;  // valgrind cannot map a terabyte
  Ok(johnny_open((directory + "/data.johnny").c_str(), &options, &setting->env), "open");
}

void Prepare(const std::string& directory) {
  Setting setting;
  Open(&setting, directory, true);
  std::vector<uint32_t> order(kEntries);
  for (uint32_t i = 0; i < kEntries; ++i) {
    order[i] = i;
  }
  for (uint64_t i = kEntries; i > 1; --i) {
    std::swap(order[i - 1], order[setting.random.Below(i)]);
  }
  for (uint64_t i = 0; i < kEntries; ++i) {
    if (i % kBatch == 0) {
      Ok(johnny_begin(setting.env, 0, &setting.txn), "begin");
    }
    setting.Put(uint64_t{order[i]} * 2);
    if ((i + 1) % kBatch == 0) {
      Ok(johnny_commit(setting.txn), "commit");
    }
  }
  for (int i = 0; i < 500; ++i) {
    setting.Write(10);
  }
  Ok(johnny_close(setting.env), "close");
}

void Run(const Path& path, const std::string& directory) {
  Setting setting;
  Open(&setting, directory, false);
  // What is done once: pages checked, free space loaded, caches of handles filled.
  Ok(johnny_begin(setting.env, JOHNNY_READ, &setting.txn), "begin");
  Ok(johnny_table_warm_up(setting.txn, nullptr, 0, nullptr), "warm up");
  if (path.reads) {
    Ok(johnny_cursor_open(setting.txn, nullptr, &setting.cursor), "cursor");
  } else {
    Ok(johnny_abort(setting.txn), "end");
    setting.Write(1);
  }
  Measured(&path, &setting);
  if (path.reads) {
    johnny_cursor_close(setting.cursor);
    Ok(johnny_abort(setting.txn), "end");
  }
  Ok(johnny_close(setting.env), "close");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "list") == 0) {
    for (const Path& path : kPaths) {
      std::printf("%s %llu\n", path.name, static_cast<unsigned long long>(path.operations));
    }
    return 0;
  }
  if (argc == 3 && std::strcmp(argv[1], "prepare") == 0) {
    Prepare(argv[2]);
    return 0;
  }
  for (const Path& path : kPaths) {
    if (argc == 3 && std::strcmp(argv[1], path.name) == 0) {
      Run(path, argv[2]);
      return 0;
    }
  }
  std::fprintf(stderr, "usage: bench_instructions list | prepare DIRECTORY | PATH DIRECTORY\n");
  return 2;
}
