/* Keeps the newest snapshot of a database under a name, for the tests of the tools.
 * usage: keep_snapshot PATH NAME */
#include <johnny/johnny.h>
#include <stdio.h>

static int Keep(johnny_env* env, const char* name) {
  johnny_txn* txn = NULL;
  int code = johnny_begin(env, 0, &txn);
  if (code != JOHNNY_OK) {
    return code;
  }
  code = johnny_snapshot_create(txn, name);
  if (code != JOHNNY_OK) {
    johnny_abort(txn);
    return code;
  }
  return johnny_commit(txn);
}

int main(int argc, char** argv) {
  johnny_env* env = NULL;
  int code;
  if (argc != 3) {
    fprintf(stderr, "usage: keep_snapshot PATH NAME\n");
    return 2;
  }
  code = johnny_open(argv[1], NULL, &env);
  if (code == JOHNNY_OK) {
    code = Keep(env, argv[2]);
  }
  if (code != JOHNNY_OK) {
    fprintf(stderr, "keep_snapshot: %s\n", johnny_last_error_message());
    return 1;
  }
  return johnny_close(env) == JOHNNY_OK ? 0 : 1;
}
