/* The header is C99 and the library can be used from C: a small program over most of the API. Exit code 0: all was as it should
 * be. */
#include <johnny/johnny.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                        \
  do {                                                                                                          \
    if (!(condition)) {                                                                                         \
      fprintf(stderr, "%s:%d: failed: %s (%s)\n", __FILE__, __LINE__, #condition, johnny_last_error_message()); \
      exit(1);                                                                                                  \
    }                                                                                                           \
  } while (0)
#define CHECK_OK(call) CHECK((call) == JOHNNY_OK)

static char g_path[1024];

static johnny_slice slice_of(const char* text) {
  johnny_slice slice;
  slice.data = text;
  slice.size = strlen(text);
  return slice;
}

static int slice_is(johnny_slice slice, const char* text) {
  return slice.size == strlen(text) && memcmp(slice.data, text, slice.size) == 0;
}

static void put(johnny_txn* txn, johnny_table* table, const char* key, const char* value) {
  CHECK_OK(johnny_put(txn, table, key, strlen(key), value, strlen(value), 0));
}

static johnny_env* open_database(uint32_t flags) {
  johnny_options options;
  johnny_env* env = NULL;
  johnny_options_init(&options);
  options.flags = flags;
  options.page_size = 8192;
  options.durability = JOHNNY_SINGLE_SYNC;
  CHECK_OK(johnny_open(g_path, &options, &env));
  return env;
}

static int count_name(void* context, const char* name) {
  CHECK(name[0] != '\0');
  ++*(int*)context;
  return 0;
}

static int count_reader(void* context, const johnny_reader_info* reader) {
  CHECK(reader->struct_size > 0);
  ++*(int*)context;
  return 0;
}

static int count_pages(void* context, const johnny_page_run* run) {
  CHECK(run->pages > 0);
  *(uint64_t*)context += run->pages;
  return 0;
}

static int count_free(void* context, const johnny_free_run* run) {
  CHECK(run->pages > 0);
  *(uint64_t*)context += run->pages;
  return 0;
}

static int count_step(void* context, const johnny_path_step* step) {
  CHECK(step->count > 0);
  ++*(int*)context;
  return 0;
}

static int fail_on_finding(void* context, const johnny_finding* finding) {
  (void)context;
  fprintf(stderr, "page %lu: %s\n", (unsigned long)finding->page, finding->message);
  return 1;
}

static void test_errors(void) {
  johnny_env* env = NULL;
  CHECK(strcmp(johnny_last_error_message(), "") == 0);
  CHECK(johnny_open(g_path, NULL, &env) == JOHNNY_NO_SUCH_FILE);
  CHECK(strstr(johnny_last_error_message(), g_path) != NULL);
  CHECK(strncmp(johnny_strerror(JOHNNY_BUSY), "JOHNNY_BUSY:", 12) == 0);
  CHECK(strlen(johnny_version()) >= 5);
  CHECK_OK(johnny_close(NULL));
}

static void test_entries(johnny_env* env) {
  johnny_txn* txn = NULL;
  johnny_slice key, value, from, to;
  uint64_t number = 0;
  CHECK_OK(johnny_begin(env, 0, &txn));
  CHECK(johnny_txn_id(txn) > 0);
  put(txn, NULL, "b", "2");
  put(txn, NULL, "a", "1");
  CHECK_OK(johnny_put(txn, NULL, "c", 1, "3", 1, JOHNNY_APPEND));
  CHECK(johnny_put(txn, NULL, "b", 1, "x", 1, JOHNNY_APPEND) == JOHNNY_NOT_ASCENDING);
  CHECK(johnny_put(txn, NULL, "b", 1, "x", 1, JOHNNY_NO_OVERWRITE) == JOHNNY_EXISTS);
  CHECK_OK(johnny_get(txn, NULL, "b", 1, &value));
  CHECK(slice_is(value, "2"));
  CHECK(johnny_get(txn, NULL, "z", 1, &value) == JOHNNY_NOT_FOUND);
  CHECK_OK(johnny_exists(txn, NULL, "a", 1));
  CHECK_OK(johnny_commit(txn));

  CHECK_OK(johnny_begin(env, JOHNNY_READ, &txn));
  CHECK(johnny_put(txn, NULL, "d", 1, "4", 1, 0) == JOHNNY_READ_ONLY_TXN);
  from = slice_of("a");
  to = slice_of("c");
  CHECK_OK(johnny_count(txn, NULL, &from, &to, &number));
  CHECK(number == 2);
  CHECK_OK(johnny_count(txn, NULL, NULL, NULL, &number));
  CHECK(number == 3);
  CHECK_OK(johnny_rank(txn, NULL, "bb", 2, &number));
  CHECK(number == 2);
  CHECK_OK(johnny_nth(txn, NULL, 2, &key, &value));
  CHECK(slice_is(key, "c") && slice_is(value, "3"));
  CHECK_OK(johnny_abort(txn));

  CHECK_OK(johnny_begin(env, JOHNNY_NO_WAIT, &txn));
  CHECK_OK(johnny_delete(txn, NULL, "a", 1));
  CHECK(johnny_delete(txn, NULL, "a", 1) == JOHNNY_NOT_FOUND);
  CHECK_OK(johnny_abort(txn));
}

static void test_cursors(johnny_env* env) {
  johnny_txn* txn = NULL;
  johnny_cursor* cursor = NULL;
  johnny_slice key, value, from;
  CHECK_OK(johnny_begin(env, 0, &txn));
  CHECK_OK(johnny_cursor_open(txn, NULL, &cursor));
  CHECK(johnny_cursor_get(cursor, &key, &value) == JOHNNY_NOT_POSITIONED);
  CHECK_OK(johnny_cursor_first(cursor, &key, &value));
  CHECK(slice_is(key, "a"));
  CHECK_OK(johnny_cursor_next(cursor, &key, NULL));
  CHECK(slice_is(key, "b"));
  CHECK_OK(johnny_cursor_put(cursor, "two", 3));
  CHECK_OK(johnny_cursor_get(cursor, NULL, &value));
  CHECK(slice_is(value, "two"));
  CHECK_OK(johnny_cursor_delete(cursor));
  CHECK_OK(johnny_cursor_prev(cursor, &key, NULL));
  CHECK(slice_is(key, "a"));
  CHECK_OK(johnny_cursor_last(cursor, &key, NULL));
  CHECK(slice_is(key, "c"));
  CHECK(johnny_cursor_next(cursor, &key, NULL) == JOHNNY_NOT_FOUND);
  CHECK_OK(johnny_cursor_seek(cursor, "b", 1, JOHNNY_SEEK_AT_OR_AFTER, &key, NULL));
  CHECK(slice_is(key, "c"));
  from = slice_of("c");
  CHECK_OK(johnny_cursor_set_range(cursor, &from, NULL));
  CHECK(johnny_cursor_seek(cursor, "a", 1, JOHNNY_SEEK_EXACT, NULL, NULL) == JOHNNY_NOT_FOUND);
  CHECK_OK(johnny_cursor_set_prefix(cursor, "a", 1));
  CHECK_OK(johnny_cursor_next(cursor, &key, NULL));
  CHECK(slice_is(key, "a"));
  CHECK_OK(johnny_abort(txn));
  CHECK(johnny_cursor_next(cursor, &key, NULL) == JOHNNY_TXN_ENDED);
  johnny_cursor_close(cursor);
}

static void test_tables(johnny_env* env) {
  johnny_txn* txn = NULL;
  johnny_table* table = NULL;
  johnny_table* other = NULL;
  johnny_slice value;
  int names = 0;
  CHECK_OK(johnny_begin(env, 0, &txn));
  CHECK(johnny_table_open(txn, "moons", 0, &table) == JOHNNY_NO_TABLE);
  CHECK_OK(johnny_table_open(txn, "moons", JOHNNY_TABLE_CREATE, &table));
  CHECK(strcmp(johnny_table_name(table), "moons") == 0);
  CHECK(strcmp(johnny_table_name(NULL), "") == 0);
  put(txn, table, "Io", "Jupiter");
  CHECK_OK(johnny_table_rename(txn, table, "satellites"));
  CHECK_OK(johnny_table_open(txn, "satellites", 0, &other));
  CHECK_OK(johnny_get(txn, other, "Io", 2, &value));
  CHECK(slice_is(value, "Jupiter"));
  CHECK_OK(johnny_table_list(txn, count_name, &names));
  CHECK(names == 1);
  CHECK_OK(johnny_table_clear(txn, other));
  CHECK_OK(johnny_table_drop(txn, other));
  CHECK_OK(johnny_table_open(txn, "moons", JOHNNY_TABLE_CREATE, &table));
  put(txn, table, "Titan", "Saturn");
  CHECK_OK(johnny_commit_with(txn, JOHNNY_TWO_PHASE));
}

static void test_readers(johnny_env* env) {
  johnny_txn* reader = NULL;
  johnny_txn* writer = NULL;
  johnny_txn_info info;
  int readers = 0;
  uint64_t pages = 0;
  CHECK_OK(johnny_begin(env, JOHNNY_READ, &reader));
  CHECK_OK(johnny_begin(env, 0, &writer));
  CHECK(johnny_close(env) == JOHNNY_IN_USE);
  put(writer, NULL, "new", "entry");
  CHECK_OK(johnny_commit(writer));
  CHECK(johnny_exists(reader, NULL, "new", 3) == JOHNNY_NOT_FOUND);
  info.struct_size = sizeof info;
  CHECK_OK(johnny_txn_get_info(reader, &info));
  CHECK(info.read_only == 1 && info.lag > 0);
  CHECK_OK(johnny_reader_list(env, count_reader, &readers));
  CHECK(readers == 1);
  CHECK_OK(johnny_reset(reader));
  CHECK(johnny_exists(reader, NULL, "new", 3) == JOHNNY_TXN_RESET);
  CHECK_OK(johnny_renew(reader));
  CHECK_OK(johnny_exists(reader, NULL, "new", 3));
  CHECK_OK(johnny_page_list(reader, count_pages, &pages));
  CHECK(pages > 0);
  CHECK_OK(johnny_abort(reader));
}

static void test_figures(johnny_env* env) {
  johnny_env_info info;
  johnny_table_info table;
  johnny_table_scan_info scan;
  johnny_page_info page;
  johnny_verify_options checks = {0};
  johnny_verify_result result;
  johnny_txn* txn = NULL;
  uint64_t free_pages = 0;
  int steps = 0;
  info.struct_size = sizeof info;
  CHECK_OK(johnny_env_get_info(env, &info));
  CHECK(info.page_size == 8192 && info.tables == 1 && info.durability == JOHNNY_SINGLE_SYNC);
  CHECK_OK(johnny_free_run_list(env, count_free, &free_pages));
  CHECK(free_pages == info.free_pages + info.pending_pages);
  CHECK_OK(johnny_begin(env, JOHNNY_READ, &txn));
  table.struct_size = sizeof table;
  CHECK_OK(johnny_table_get_info(txn, NULL, &table));
  CHECK(table.entries == 4 && table.depth == 1 && table.leaf_pages == 1);
  scan.struct_size = sizeof scan;
  CHECK_OK(johnny_table_scan(txn, NULL, &scan));
  CHECK(scan.largest_key == 3 && scan.largest_value == 5);
  page.struct_size = sizeof page;
  CHECK_OK(johnny_page_get_info(txn, 0, &page));
  CHECK(page.kind == JOHNNY_PAGE_MASTER);
  CHECK_OK(johnny_path(txn, NULL, "a", 1, count_step, &steps));
  CHECK(steps == 1);
  CHECK_OK(johnny_abort(txn));
  result.struct_size = sizeof result;
  checks.struct_size = sizeof checks;
  checks.on_finding = fail_on_finding;
  CHECK_OK(johnny_verify(env, &checks, &result));
  CHECK(result.findings == 0 && result.entries_checked >= 4);
  CHECK_OK(johnny_sync(env));
}

static void test_reopened_read_only(johnny_env* env) {
  johnny_txn* txn = NULL;
  johnny_table* table = NULL;
  johnny_slice value;
  CHECK(johnny_begin(env, 0, &txn) == JOHNNY_READ_ONLY_ENV);
  CHECK_OK(johnny_begin(env, JOHNNY_READ, &txn));
  CHECK_OK(johnny_table_open(txn, "moons", 0, &table));
  CHECK_OK(johnny_get(txn, table, "Titan", 5, &value));
  CHECK(slice_is(value, "Saturn"));
  CHECK_OK(johnny_abort(txn));
}

int main(void) {
  johnny_env* env;
  const char* base = getenv("TMPDIR");
  unsigned long id = (unsigned long)(size_t)&env; /* differs between runs by address randomization; EXCLUSIVE guards the rest */
  sprintf(g_path, "%.900s/johnny_c_test_%lx", base != NULL ? base : "/tmp", id);
  remove(g_path);
  test_errors();
  env = open_database(JOHNNY_CREATE | JOHNNY_EXCLUSIVE);
  test_entries(env);
  test_cursors(env);
  test_tables(env);
  test_readers(env);
  test_figures(env);
  CHECK_OK(johnny_close(env));
  env = open_database(JOHNNY_READ_ONLY);
  test_reopened_read_only(env);
  CHECK_OK(johnny_close(env));
  CHECK(remove(g_path) == 0);
  puts("ok");
  return 0;
}
