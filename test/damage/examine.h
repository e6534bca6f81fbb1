// Opens a damaged image and does everything a program can do with it.
#ifndef JOHNNY_TEST_DAMAGE_EXAMINE_H_
#define JOHNNY_TEST_DAMAGE_EXAMINE_H_

#include <string>
#include <vector>

#include "damage/image.h"

namespace johnny::test {

struct Expectation {
  // What successful reads must agree with, whole: one of these. Empty: anything (a forged file), as long as nothing crashes,
  // hangs or is reported as a defect of the library.
  std::vector<const State*> states;
  bool verify_must_find = false;  // open or verify must report the damage
};

class Examiner {
 public:
  // Reads `image` read-only; every `write_every`-th time also opens it for writing, verifies and writes. `what` names the damage
  // in failures. Fails the running test.
  void Examine(const std::string& what, const std::string& image, const Expectation& expectation, int write_every = 4);
  uint64_t images() const { return images_; }

 private:
  void Open(uint32_t flags, const Expectation& expectation);
  void Read(const Env& env, const Expectation& expectation);
  void Write(const Env& env, const Expectation& expectation);
  // "" or where `txn` contradicts `state`.
  std::string Compare(const Txn& txn, const State& state);
  std::string CompareTable(const Txn& txn, johnny_table* table, const Contents& contents);
  void ReadAnything(const Txn& txn);
  // Notes an error that damage may cause; true if there was one.
  bool Failed(const Result& result);

  TempDir dir_;
  std::string path_ = dir_.File("db");
  uint64_t images_ = 0;
};

}  // namespace johnny::test

#endif  // JOHNNY_TEST_DAMAGE_EXAMINE_H_
