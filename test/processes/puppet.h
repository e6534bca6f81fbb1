// Another process that does what a test tells it, one line at a time: this program, executed anew, so that it inherits nothing.
//
//   Puppet other;
//   EXPECT_EQ(other.Do("open " + path), "JOHNNY_OK");
//   EXPECT_EQ(other.Do("write w"), "JOHNNY_OK");
//   other.Kill();
//
// Commands; NAME names a transaction, and words hold no spaces. The answer is the name of the result unless another is given.
//   open PATH [create] [read-only] [readers=N] [lazy|two-phase|single-sync] [budget=BYTES]
//   close | sync | verify | exit
//   read NAME | write NAME | try NAME          begin, the last without waiting
//   commit NAME | abort NAME | reset NAME | renew NAME
//   put NAME KEY VALUE | delete NAME KEY | clear NAME
//   get NAME KEY                                "=VALUE"
//   fill NAME FROM TO SIZE SEED                 puts entries FROM .. TO - 1, with values that SEED determines
//   check NAME FROM TO SIZE SEED                whether they are there, and nothing else
//   all NAME                                    "key=value key=value"
//   id NAME | info FIELD                        a number
//   readers                                     "process:snapshot process:snapshot"
//   reader-check                                how many were freed
//   churn MILLISECONDS                          overwrites and commits all the time; the number of commits
//   fork                                        leaves a child that has everything open and sleeps; its process id
//   setuid UID                                  for ever; "OK"
//   reads PATH                                  whether the file can be opened for reading: "yes" or "no"
#ifndef JOHNNY_TEST_PROCESSES_PUPPET_H_
#define JOHNNY_TEST_PROCESSES_PUPPET_H_

#include <sys/types.h>

#include <ostream>
#include <string>

namespace johnny::test {

// What a puppet said: the answer, and the library's message when it is an error. "DEAD": the process has ended. "LATE": it has
// not answered in time.
struct Answer {
  std::string text;
  std::string message;
  friend bool operator==(const Answer& a, const std::string& b) { return a.text == b; }
  friend std::ostream& operator<<(std::ostream& out, const Answer& a) {
    return out << a.text << (a.message.empty() ? "" : " (" + a.message + ")");
  }
  unsigned long long number() const;  // fails the running test unless it is one
};

class Puppet {
 public:
  enum class Namespace { kSame, kOwn };  // kOwn: a process namespace of its own, in which it has process id 1

  // `process_id`: the one to have, 0: any. Use started(): both wishes need privileges.
  explicit Puppet(Namespace process_namespace = Namespace::kSame, pid_t process_id = 0);
  ~Puppet() { Kill(); }
  Puppet(const Puppet&) = delete;
  Puppet& operator=(const Puppet&) = delete;

  bool started() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }

  Answer Do(const std::string& command);  // waits for the answer, a minute at most
  void Send(const std::string& command);
  Answer Receive(int milliseconds);
  // Has it an answer within this time? What blocks has none.
  bool Answers(int milliseconds);
  // SIGKILL, and waits for its end.
  void Kill();

 private:
  pid_t pid_ = 0;     // as seen here
  pid_t parent_ = 0;  // whom to wait for: the puppet, or the process that stands between
  int to_ = -1, from_ = -1;
  std::string buffer_;
};

// The puppet's side; the program's main function calls it when its first argument is "--puppet".
int PuppetMain();

}  // namespace johnny::test

#endif  // JOHNNY_TEST_PROCESSES_PUPPET_H_
