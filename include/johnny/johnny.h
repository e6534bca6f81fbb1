/* johnny.h - the public interface of JohnnyDB, an embedded ordered key-value store.
 *
 * One file holds a copy-on-write B+tree. One write transaction runs at a time; any number of read transactions
 * run beside it, each seeing the one committed snapshot it began with. Readers and the writer never wait for
 * each other.
 *
 * Conventions
 *   - A function that can fail returns an int: JOHNNY_OK (0) or one of enum johnny_error. Output arguments are
 *     written only on JOHNNY_OK unless a function says otherwise. johnny_last_error_message() explains the last
 *     failure of the calling thread in one sentence.
 *   - Sizes are in bytes; page numbers count from 0 at the start of the file; times are in milliseconds.
 *   - Keys are byte strings ordered as memcmp orders them, a prefix before its extensions. The empty key and the
 *     empty value are allowed. Key and value arguments are copied; the caller may reuse the memory at once.
 *   - A pointer returned through a johnny_slice points into the database and is read-only. From a read transaction
 *     it stays valid until that transaction ends or is reset; from a write transaction until the next call that
 *     changes anything in that transaction, or its end.
 *   - Thread rules: a johnny_env may be used from any thread at any time. A johnny_txn and its cursors may be used by
 *     one thread at a time; they may be handed from thread to thread. A write transaction too.
 *   - Structs passed to the library start with `struct_size`; set it to sizeof(the struct). A library newer than the
 *     program fills only that much, an older one leaves what it does not know at zero.
 *   - Handles end when the function that ends them returns, whatever it returned, unless it says otherwise.
 *     Use of an ended handle is detected as long as its memory has not been given to a new one: JOHNNY_TXN_ENDED.
 */
#ifndef JOHNNY_JOHNNY_H_
#define JOHNNY_JOHNNY_H_

#include <johnny/version.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define JOHNNY_API __attribute__((visibility("default")))
#else
#define JOHNNY_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Results --------------------------------------------------------------------------------------------------- */

enum johnny_error {
  JOHNNY_OK = 0,
  JOHNNY_NOT_FOUND = 1,         /* No such key, table, entry or position. */
  JOHNNY_EXISTS = 2,            /* JOHNNY_NO_OVERWRITE and the key is there; or a table, named snapshot or file of that name. */
  JOHNNY_BUSY = 3,              /* Another write transaction, or another process, has it and waiting was not wanted. */
  JOHNNY_INVALID_ARGUMENT = 4,  /* A null pointer, an unknown flag, a value out of its range. */
  JOHNNY_KEY_TOO_LARGE = 5,     /* The key is longer than johnny_env_info.max_key_size. */
  JOHNNY_VALUE_TOO_LARGE = 6,   /* The value is longer than johnny_env_info.max_value_size. */
  JOHNNY_READ_ONLY_TXN = 7,     /* A change was asked of a read transaction. */
  JOHNNY_READ_ONLY_ENV = 8,     /* A write transaction was asked of an environment opened read-only. */
  JOHNNY_TXN_ENDED = 9,         /* The transaction (or a cursor's transaction) has committed or aborted. */
  JOHNNY_TXN_RESET = 10,        /* The read transaction was reset and not renewed. */
  JOHNNY_TXN_FAILED = 11,       /* An earlier error in this write transaction allows only abort. */
  JOHNNY_WRONG_ENV = 12,        /* A table or transaction of another environment. */
  JOHNNY_WRONG_TXN = 13,        /* The call needs the other kind of transaction, or the cursor is of another. */
  JOHNNY_NO_TABLE = 14,         /* The table does not exist in this transaction's snapshot. */
  JOHNNY_NOT_ASCENDING = 15,    /* JOHNNY_APPEND and the key is not greater than the table's last. */
  JOHNNY_NOT_POSITIONED = 16,   /* The cursor stands on no entry. */
  JOHNNY_SIZE_LIMIT = 17,       /* The database would grow past its size limit. Nothing was changed. */
  JOHNNY_DISK_FULL = 18,        /* The file system has no room. Nothing was changed. */
  JOHNNY_READERS_FULL = 19,     /* Every reader slot is taken. */
  JOHNNY_IO_ERROR = 20,         /* The operating system reported an error; the message has its words. */
  JOHNNY_OUTCOME_UNKNOWN = 21,  /* Commit: may or may not survive a crash. The environment refuses writes from now on;
                                   after reopening, johnny_env_info.last_txn_id tells (>= the id means committed). */
  JOHNNY_WRITES_REFUSED = 22,   /* An earlier failed sync or unknown outcome; reopen the environment. */
  JOHNNY_CORRUPT = 23,          /* The file is damaged; the message names the page and the reason. */
  JOHNNY_NOT_A_DATABASE = 24,   /* The file is not a JohnnyDB database. */
  JOHNNY_VERSION_MISMATCH = 25, /* The file's format or a feature it needs is newer than this library. */
  JOHNNY_NO_SUCH_FILE = 26,     /* The path does not exist and JOHNNY_CREATE was not given. */
  JOHNNY_PERMISSION = 27,       /* The file system refused access. */
  JOHNNY_NO_MEMORY = 28,        /* Memory or address space ran out. */
  JOHNNY_IN_USE = 29,           /* Closing an environment with live transactions, dropping a table with open cursors, using a
                                   transaction while one nested in it is open. */
  JOHNNY_TABLES_FULL = 30,      /* More table handles than an environment can hold. */
  JOHNNY_STOPPED = 31,          /* A callback returned non-zero. */
  JOHNNY_INTERNAL = 32,         /* A defect in the library; please report it with the message. */
  JOHNNY_SNAPSHOT_GONE = 33,    /* The reader held back more than its limit allows and lost its snapshot; end the transaction. */
  JOHNNY_FORKED = 34,           /* A handle of the parent process was used in a forked child; open the database anew there. */
  JOHNNY_LOCK_FILE = 35,        /* The lock file was removed, replaced or damaged while the database is open elsewhere. */
  JOHNNY_NO_SNAPSHOT = 36,      /* There is no named snapshot of this name. */
  JOHNNY_NETWORK = 37           /* The file lies on a network file system; see JOHNNY_ALLOW_NETWORK. */
};

/* The constant's name and meaning, e.g. "JOHNNY_BUSY: ...". Never NULL, valid for ever, any code. */
JOHNNY_API const char* johnny_strerror(int code);

/* One sentence on the last failure of the calling thread, such as `page 4711: checksum mismatch ...`. Never NULL; ""
 * when nothing failed yet. Valid until the thread's next call into the library. */
JOHNNY_API const char* johnny_last_error_message(void);

/* "major.minor.patch" of the library in use. */
JOHNNY_API const char* johnny_version(void);

typedef struct johnny_env johnny_env;       /* an open database */
typedef struct johnny_txn johnny_txn;       /* a read or write transaction */
typedef struct johnny_cursor johnny_cursor; /* a position in one table, within one transaction */
typedef struct johnny_table johnny_table;   /* a named table; NULL stands for the main table everywhere */

/* Bytes that belong to somebody else. data may be NULL when size is 0. */
typedef struct johnny_slice {
  const void* data;
  size_t size;
} johnny_slice;

/* ---- Environment ------------------------------------------------------------------------------------------------ */

/* What a successful commit promises. */
enum johnny_durability {
  JOHNNY_DURABILITY_DEFAULT = 0, /* the environment's (only as an argument of a commit) */
  JOHNNY_TWO_PHASE = 1,          /* Pages synced, then the master page written and synced. Survives a power cut. */
  JOHNNY_SINGLE_SYNC = 2,        /* Pages and master page written, one sync. Survives a power cut too; the next open after
                                    one verifies the last commit's pages before it counts. */
  JOHNNY_LAZY = 3,               /* No sync. A power cut takes the database back to a commit no older than the last sync,
                                    whole. A killed process loses nothing. johnny_sync() makes it durable, and
                                    so does a background sync: johnny_options.sync_interval_ms. */
  JOHNNY_ASYNC = 4               /* As lazy, but a background sync begins at once; johnny_wait_durable() waits for it. */
};

/* johnny_options.flags */
enum johnny_open_flag {
  JOHNNY_CREATE = 1,         /* create the file if there is none */
  JOHNNY_EXCLUSIVE = 2,      /* with JOHNNY_CREATE: fail with JOHNNY_EXISTS if there is one */
  JOHNNY_READ_ONLY = 4,      /* no write transactions; the file needs only read permission */
  JOHNNY_NO_LOCK_FILE = 8,   /* no lock file: this process has the database to itself, or BUSY */
  JOHNNY_ALLOW_NETWORK = 16, /* open a file on a network file system, where only one machine may use it at a time */
  JOHNNY_NO_SHRINK = 32      /* never cut the free tail of the file off */
};

struct johnny_reader_info;
/* Asked about a reader that holds back more than the limits allow. 0: it loses its snapshot at its next call; else it stays.
 * Called by a thread that writes; it must not call the library. */
typedef int (*johnny_slow_reader_callback)(void* context, const struct johnny_reader_info* reader);

typedef struct johnny_options {
  size_t struct_size;
  uint32_t flags;            /* enum johnny_open_flag, ORed; default 0 */
  uint32_t mode;             /* permissions of a created file, less the umask; default 0644 */
  uint32_t page_size;        /* of a created file: 4096, 8192, 16384 or 32768; default 4096. Ignored for an existing one. */
  uint32_t durability;       /* enum johnny_durability; default JOHNNY_TWO_PHASE */
  uint64_t memory_budget;    /* bytes of changed pages a write transaction keeps in memory before it writes some to the file
                                early; default 256 MiB, at least 64 pages */
  uint32_t max_readers;      /* concurrent read transactions of all processes, as the first to open it says; default 4096 */
  uint32_t slack_percent;    /* free pages kept, relative to used ones, before scattered free pages are used up; default 30 */
  uint64_t address_space;    /* bytes of address space to reserve, and so the most the file can grow to while open; default
                                1 TiB, or what the system allows */
  uint64_t size_limit;       /* the file never grows past this many bytes; 0 (default) means no limit */
  uint32_t sync_interval_ms; /* lazy commits are made durable in the background about so often, in milliseconds, by a thread that
                                begins with the first of them; default 1000; 0: not by time */
  uint32_t reader_limit_ms;  /* a reader older than this may lose its snapshot when the writer runs short of free pages; 0
                                (default):  never */
  uint64_t reader_limit_bytes; /* the same for one that alone holds back more than so many bytes; 0 (default): never */
  johnny_slow_reader_callback on_slow_reader; /* decides for each of them; NULL (default): all of them go */
  void* slow_reader_context;                  /* its first argument */
  uint64_t sync_bytes; /* lazy commits are also made durable in the background once they have written so much; default 64 MiB; 0:
                          by time only */
  const char* lock_path; /* of the lock file; NULL (default): the database's with "-lock" behind. All processes must agree. */
} johnny_options;

/* Sets every field to its default. */
JOHNNY_API void johnny_options_init(johnny_options* options);

/* Opens the database file `path`. `options` may be NULL (defaults: the file must exist).
 * Any number of processes may have it open; they share the lock file beside it. A process that opens the same file again gets the
 * same environment, with the options of the first opening, and must close it as often; BUSY if one of the openings is read-only
 * and the other is not. After fork() the child must not use the parent's handles (FORKED; closing them does nothing) and may open
 * anew. The first process to open a database after a crash recovers it. Errors: NO_SUCH_FILE, EXISTS, BUSY (open without a lock
 * file elsewhere), PERMISSION, NOT_A_DATABASE, VERSION_MISMATCH, CORRUPT, IO_ERROR, NO_MEMORY, INVALID_ARGUMENT, LOCK_FILE,
 * NETWORK, READERS_FULL (1024 processes), WRITES_REFUSED (a sync failed in a process that still has the database open). */
JOHNNY_API int johnny_open(const char* path, const johnny_options* options, johnny_env** env);

/* Syncs lazy commits and frees the environment with its table handles, when it has been closed as often as opened; the last
 * process also marks the file as cleanly closed. JOHNNY_IN_USE: transactions are open; nothing was closed. Any other error:
 * closed, but the last lazy commits may not be durable. NULL is allowed. */
JOHNNY_API int johnny_close(johnny_env* env);

/* Makes every commit so far durable. Errors: IO_ERROR (later writes are refused), WRITES_REFUSED, READ_ONLY_ENV. */
JOHNNY_API int johnny_sync(johnny_env* env);

typedef struct johnny_env_info {
  size_t struct_size;
  uint32_t format_version;
  uint32_t page_size;
  uint64_t database_id;      /* random, given at creation */
  uint64_t file_size;        /* bytes of the file now */
  uint64_t page_count;       /* pages of the newest snapshot, used or free; more may have been allocated ahead */
  uint64_t last_txn_id;      /* newest committed transaction */
  uint64_t durable_txn_id;   /* newest one known to survive a power cut */
  uint64_t oldest_reader_id; /* snapshot of the oldest live reader; 0: no reader */
  uint64_t discarded_txn_id; /* a commit that recovery found incomplete and discarded when this environment opened; 0: none */
  uint64_t free_pages;       /* reusable now */
  uint64_t pending_pages;    /* freed, but a snapshot may still see them */
  uint64_t used_pages;       /* page_count less free and pending ones */
  uint64_t size_limit;       /* bytes; 0: none */
  uint64_t memory_budget;    /* bytes */
  uint64_t address_space;    /* bytes reserved */
  uint64_t max_value_size;   /* bytes */
  uint32_t max_key_size;     /* bytes */
  uint32_t durability;       /* enum johnny_durability */
  uint32_t readers;          /* live read transactions */
  uint32_t max_readers;
  uint32_t read_only;      /* 1: opened read-only */
  uint32_t writes_refused; /* 1: see JOHNNY_WRITES_REFUSED */
  uint32_t clean;          /* 1: the file had been closed cleanly when it was opened, by this process as the first */
  uint32_t tables;         /* named tables in the newest snapshot */
  uint32_t processes;      /* that have the database open, this one among them; 1 without a lock file */
  uint32_t reserved;
} johnny_env_info;

/* Fills *info. Free-space figures need the free log, which the first call reads. Errors: CORRUPT, IO_ERROR. */
JOHNNY_API int johnny_env_get_info(johnny_env* env, johnny_env_info* info);

/* ---- Transactions ----------------------------------------------------------------------------------------------- */

enum johnny_begin_flag {
  JOHNNY_READ = 1,   /* a read transaction; without it a write transaction */
  JOHNNY_NO_WAIT = 2 /* JOHNNY_BUSY instead of waiting for the current write transaction to end */
};

/* Begins a transaction. A thread must not begin a write transaction while it holds another one: it would wait for itself.
 * Errors: BUSY, READERS_FULL, READ_ONLY_ENV, WRITES_REFUSED, NO_MEMORY, CORRUPT (free log, or a master page that leaves no ids),
 * IO_ERROR, LOCK_FILE (its contents are impossible), FORKED. */
JOHNNY_API int johnny_begin(johnny_env* env, uint32_t flags, johnny_txn** txn);

/* The same, waiting at most `timeout_ms` for other write transactions, of this process or another. */
#define JOHNNY_FOR_EVER UINT32_MAX
JOHNNY_API int johnny_begin_within(johnny_env* env, uint32_t flags, uint32_t timeout_ms, johnny_txn** txn);

/* Begins a write transaction nested in the write transaction `parent`: it sees the parent's changes, and its own can be dropped
 * or handed to the parent as a whole. It is used as any other, by the same functions; `flags` must be 0. Transactions nest up to
 * JOHNNY_MAX_NESTING deep, one at a time in each. Beginning, and committing or aborting a nested transaction without changes,
 * costs about as much as a lookup; with changes, what they cost.
 *
 * johnny_commit() makes the nested transaction's changes the parent's. Nothing is written or synced for it (a durability is
 * ignored); they become durable, or are lost, with the outermost transaction, whose johnny_txn_id() it has. johnny_abort() makes
 * everything as it was when the nested transaction began: entries, tables created, renamed, cleared or dropped, named snapshots
 * created or deleted, and the room that it had taken (the file may have grown all the same).
 *   - While it is open the parent only waits: every use of the parent or its cursors gives JOHNNY_IN_USE, except johnny_txn_id(),
 *     closing cursors, and ending it. johnny_commit(parent) commits the nested transactions first and johnny_abort(parent) aborts
 *     them; their handles have ended then. If one of them has failed, committing the parent aborts all and gives TXN_FAILED.
 *   - The parent's cursors keep their places. (After a commit a cursor may stand on an entry that was deleted, as after
 *     johnny_delete.) A table that the parent has cursors on cannot be dropped or renamed in it: IN_USE.
 *   - Pointers got from the parent: a change in the nested transaction, or its commit, counts as one in the parent. Pointers
 *     got from the nested transaction end with it.
 *   - After an error that leaves only abort (johnny_txn_info.failed) the nested transaction is aborted, by johnny_commit() too,
 *     which gives TXN_FAILED, and the parent goes on. NO_MEMORY from a change is an exception: if johnny_txn_info.failed says
 *     so after the abort, the parent can only be aborted, too.
 *   - Memory: the parent's changed pages stay as they are, and those that are changed again are copied. What the parent holds
 *     counts for the memory budget, but each level may use a 32nd of the budget (at least 16 pages) beyond it before it writes
 *     some of its own early. Copies of branches above pages that the parent has changed stay in memory whatever the budget, so
 *     a nested transaction that changes much of what its parent has changed takes as much again, and spills often.
 *   - johnny_snapshot_create() keeps the snapshot that the outermost transaction began with.
 * Thread rules: all of the nest is one transaction, used by one thread at a time. Errors: WRONG_TXN (the parent is a read
 * transaction), IN_USE (one is open in it), TXN_FAILED, TXN_ENDED, INVALID_ARGUMENT (nested too deep), NO_MEMORY. */
#define JOHNNY_MAX_NESTING 64
JOHNNY_API int johnny_begin_nested(johnny_txn* parent, uint32_t flags, johnny_txn** txn);

/* Ends the transaction. For a write transaction, makes its changes the newest snapshot, with the environment's durability.
 * A commit without changes makes no snapshot but, unless lazy, makes earlier lazy commits durable. JOHNNY_OK: committed as
 * promised. JOHNNY_OUTCOME_UNKNOWN: see there. Any other error: not committed, the database is as before. Cursors of the
 * transaction must not be used any more except to close them. */
JOHNNY_API int johnny_commit(johnny_txn* txn);

/* The same with the durability given here (enum johnny_durability). */
JOHNNY_API int johnny_commit_with(johnny_txn* txn, uint32_t durability);

/* Waits until transaction `id` (johnny_txn_id before its commit), committed by any process, is durable; syncs if nobody else
 * does. JOHNNY_INVALID_ARGUMENT: no such transaction has committed. Else as johnny_sync; READ_ONLY_ENV only if it is not durable
 * yet. */
JOHNNY_API int johnny_wait_durable(johnny_env* env, uint64_t id);

/* Ends the transaction and drops its changes. Never fails on a live transaction. NULL is allowed. */
JOHNNY_API int johnny_abort(johnny_txn* txn);

/* Read transactions: gives the snapshot up but keeps the handle; johnny_renew() takes the then newest snapshot. Cursors stay
 * open but lose their position. Errors: WRONG_TXN for write transactions and those on named snapshots; TXN_RESET when reset
 * twice. */
JOHNNY_API int johnny_reset(johnny_txn* txn);
JOHNNY_API int johnny_renew(johnny_txn* txn);

/* The snapshot a read transaction sees, or the id a write transaction's commit will have. Ids grow and are never used twice.
 * 0 for a bad handle. */
JOHNNY_API uint64_t johnny_txn_id(const johnny_txn* txn);

typedef struct johnny_txn_info {
  size_t struct_size;
  uint64_t id;
  uint32_t read_only;
  uint32_t failed;        /* 1: only abort is possible */
  uint64_t changed_pages; /* held in memory by this write transaction; of a nested one: by the outermost one with all in it, as
                             all figures */
  uint64_t spilled_pages; /* written early because of the memory budget, in all */
  uint64_t freed_pages;   /* pages of older snapshots that this transaction gave up */
  uint64_t extent_pages;  /* pages of large values it has written */
  uint64_t lag;           /* read transactions: newest id less own */
  uint32_t depth;         /* 0: not nested; 1: nested in one that is not, and so on */
  uint32_t reserved;
} johnny_txn_info;

JOHNNY_API int johnny_txn_get_info(johnny_txn* txn, johnny_txn_info* info);

/* ---- Entries ---------------------------------------------------------------------------------------------------- */

/* Looks `key` up. NOT_FOUND is the common error, for keys longer than any can be, too; also CORRUPT, NO_TABLE, TXN_*. value may
 * be NULL. */
JOHNNY_API int johnny_get(johnny_txn* txn, johnny_table* table, const void* key, size_t key_size, johnny_slice* value);

/* Looks up `count` keys at once: in a database that does not fit the processor's caches several times faster than one by one,
 * because their cache misses overlap. values[i] is the value of keys[i], with data NULL if there is none (an empty value has data
 * that is not NULL); *found (may be NULL) how many there are. Keys may come in any order, and more than once; sorted ones are
 * somewhat faster. NOT_FOUND is no error here. After an error the values mean nothing. Errors: CORRUPT, NO_TABLE, TXN_*. */
JOHNNY_API int johnny_get_many(johnny_txn* txn, johnny_table* table, const johnny_slice* keys, size_t count, johnny_slice* values,
                               size_t* found);

/* JOHNNY_OK or JOHNNY_NOT_FOUND, without touching the value. */
JOHNNY_API int johnny_exists(johnny_txn* txn, johnny_table* table, const void* key, size_t key_size);

enum johnny_put_flag {
  JOHNNY_NO_OVERWRITE = 1, /* JOHNNY_EXISTS if the key is there */
  JOHNNY_APPEND = 2        /* the key is greater than every key of the table, else JOHNNY_NOT_ASCENDING */
};

/* Stores the entry, replacing the value of an existing key.
 * Errors: EXISTS, NOT_ASCENDING, KEY_TOO_LARGE, VALUE_TOO_LARGE, READ_ONLY_TXN, SIZE_LIMIT, DISK_FULL (the transaction may go
 * on after these, unless it was spilling: johnny_txn_info.failed); CORRUPT, IO_ERROR, NO_MEMORY (it can only be aborted). */
JOHNNY_API int johnny_put(johnny_txn* txn, johnny_table* table, const void* key, size_t key_size, const void* value,
                          size_t value_size, uint32_t flags);

/* Removes the entry. NOT_FOUND if there is none; else as johnny_put. */
JOHNNY_API int johnny_delete(johnny_txn* txn, johnny_table* table, const void* key, size_t key_size);

/* One change of a batch. All zeros in `flags`: the entry is stored. */
enum johnny_write_flag { JOHNNY_WRITE_DELETE = 1 /* the entry is removed; not an error if there is none */ };
typedef struct johnny_write {
  johnny_slice key;
  johnny_slice value; /* ignored when deleting */
  uint32_t flags;
  uint32_t reserved; /* 0 */
} johnny_write;

/* Makes `count` changes, in key order whatever their order in `writes`, which is faster than single calls in random order. Of
 * several for one key the last in `writes` counts. Keys and values are copied. Errors as johnny_put, by which nothing has changed
 * yet: INVALID_ARGUMENT, KEY_TOO_LARGE, VALUE_TOO_LARGE, READ_ONLY_TXN, TXN_*, NO_TABLE. After any other error some of the
 * changes may have been made, and the transaction can only be aborted: so use a nested one to undo a batch alone. */
JOHNNY_API int johnny_write_batch(johnny_txn* txn, johnny_table* table, const johnny_write* writes, size_t count);

/* Number of entries with from <= key < to; a NULL bound is open. Exact, O(log n). */
JOHNNY_API int johnny_count(johnny_txn* txn, johnny_table* table, const johnny_slice* from, const johnny_slice* to,
                            uint64_t* count);

/* Number of entries with keys less than `key`, which need not exist. O(log n). */
JOHNNY_API int johnny_rank(johnny_txn* txn, johnny_table* table, const void* key, size_t key_size, uint64_t* rank);

/* The n-th entry in key order, from 0. NOT_FOUND past the end. key and value may be NULL. O(log n). */
JOHNNY_API int johnny_nth(johnny_txn* txn, johnny_table* table, uint64_t n, johnny_slice* key, johnny_slice* value);

/* Splits the entries with from <= key < to (NULL: open) into `parts` parts of equal numbers of entries, for as many threads
 * with a cursor of their own each: part i begins at bounds[i - 1] and ends before bounds[i], the first begins at `from`, the last
 * ends at `to`. `bounds` has room for parts - 1 keys, which stay valid as those of a cursor do; *count is how many there are:
 * fewer when there are fewer entries than parts. Exact to one entry, O(parts * log n). Threads need a transaction each;
 * johnny_renew() or johnny_begin() may give them a newer snapshot, for which the bounds are as good. Errors: INVALID_ARGUMENT,
 * CORRUPT, NO_TABLE, TXN_*. */
JOHNNY_API int johnny_split_range(johnny_txn* txn, johnny_table* table, const johnny_slice* from, const johnny_slice* to,
                                  size_t parts, johnny_slice* bounds, size_t* count);

/* ---- Cursors ---------------------------------------------------------------------------------------------------- */

/* Opens a cursor, positioned nowhere. It must be closed, before or after its transaction ends. */
JOHNNY_API int johnny_cursor_open(johnny_txn* txn, johnny_table* table, johnny_cursor** cursor);
JOHNNY_API void johnny_cursor_close(johnny_cursor* cursor); /* NULL is allowed */

/* Limits the cursor to from <= key < to (NULL: open) or to keys that start with `prefix`, and unpositions it. The bounds are
 * copied. Movements and seeks behave as if no other entries existed. */
JOHNNY_API int johnny_cursor_set_range(johnny_cursor* cursor, const johnny_slice* from, const johnny_slice* to);
JOHNNY_API int johnny_cursor_set_prefix(johnny_cursor* cursor, const void* prefix, size_t prefix_size);

/* Movements. NOT_FOUND: there is no such entry. Next past the last entry then leaves the cursor after the last, where prev goes
 * back to it (and next stays); likewise prev before the first; otherwise the cursor is as it was. On a cursor positioned nowhere,
 * next means first and prev means last. When the current entry has been deleted, by this cursor or by other means in the same
 * transaction, next and prev go to its neighbours. key and value may be NULL. In a write transaction a cursor keeps its place
 * while the transaction changes the tree by other means. */
JOHNNY_API int johnny_cursor_first(johnny_cursor* cursor, johnny_slice* key, johnny_slice* value);
JOHNNY_API int johnny_cursor_last(johnny_cursor* cursor, johnny_slice* key, johnny_slice* value);
JOHNNY_API int johnny_cursor_next(johnny_cursor* cursor, johnny_slice* key, johnny_slice* value);
JOHNNY_API int johnny_cursor_prev(johnny_cursor* cursor, johnny_slice* key, johnny_slice* value);

/* As so many calls of johnny_cursor_next (prev) at once, at most `limit`: fills keys and values (either may be NULL), and *count.
 * Fewer than `limit` entries mean that there are no more: the cursor then stands after the last (before the first) entry.
 * NOT_FOUND: there is none. After another error *count entries are filled; a large value that cannot be read leaves the cursor on
 * its entry, a page leaves it nowhere. INVALID_ARGUMENT: the limit is 0, or count is NULL. */
JOHNNY_API int johnny_cursor_next_many(johnny_cursor* cursor, size_t limit, johnny_slice* keys, johnny_slice* values,
                                       size_t* count);
JOHNNY_API int johnny_cursor_prev_many(johnny_cursor* cursor, size_t limit, johnny_slice* keys, johnny_slice* values,
                                       size_t* count);

enum johnny_seek {
  JOHNNY_SEEK_EXACT = 0,
  JOHNNY_SEEK_AT_OR_AFTER = 1, /* the least key >= the one given */
  JOHNNY_SEEK_AT_OR_BEFORE = 2 /* the greatest key <= the one given */
};
/* NOT_FOUND leaves the cursor positioned nowhere. */
JOHNNY_API int johnny_cursor_seek(johnny_cursor* cursor, const void* key, size_t key_size, uint32_t mode, johnny_slice* found_key,
                                  johnny_slice* value);

/* The current entry. NOT_POSITIONED if there is none; NOT_FOUND if it has been deleted. */
JOHNNY_API int johnny_cursor_get(johnny_cursor* cursor, johnny_slice* key, johnny_slice* value);

/* Replaces the value of the current entry, or removes it. Errors as johnny_put, and NOT_POSITIONED, NOT_FOUND. */
JOHNNY_API int johnny_cursor_put(johnny_cursor* cursor, const void* value, size_t value_size);
JOHNNY_API int johnny_cursor_delete(johnny_cursor* cursor);

/* ---- Tables ----------------------------------------------------------------------------------------------------- */

enum johnny_table_flag { JOHNNY_TABLE_CREATE = 1 /* create it if it does not exist; needs a write transaction */ };

/* Opens the named table as `txn` sees it. The handle belongs to the environment, may be used in any of its transactions and
 * from any thread, and lives until the environment closes; opening the same name again gives the same handle. It stands for
 * the name: in a snapshot without such a table its use gives JOHNNY_NO_TABLE. Names are 1 to 255 bytes (max_key_size if that is
 * less), zero bytes excluded. Errors: NO_TABLE, INVALID_ARGUMENT, READ_ONLY_TXN, TABLES_FULL and as johnny_put. */
JOHNNY_API int johnny_table_open(johnny_txn* txn, const char* name, uint32_t flags, johnny_table** table);

/* The handle's name; "" for the main table (NULL). Valid until the environment closes. */
JOHNNY_API const char* johnny_table_name(const johnny_table* table);

/* Removes all entries; the main table can be cleared too. */
JOHNNY_API int johnny_table_clear(johnny_txn* txn, johnny_table* table);
/* Removes the table and its entries. JOHNNY_IN_USE: the transaction has cursors open on it. */
JOHNNY_API int johnny_table_drop(johnny_txn* txn, johnny_table* table);
/* Renames it: EXISTS if there is a table `new_name`. The handle goes on standing for the old name. */
JOHNNY_API int johnny_table_rename(johnny_txn* txn, johnny_table* table, const char* new_name);

/* Calls `visit` with each table's name in byte order; a non-zero result stops it with JOHNNY_STOPPED. */
typedef int (*johnny_name_callback)(void* context, const char* name);
JOHNNY_API int johnny_table_list(johnny_txn* txn, johnny_name_callback visit, void* context);

typedef struct johnny_table_info {
  size_t struct_size;
  uint64_t entries;
  uint32_t depth; /* levels, 0 when empty, 1 when a single leaf */
  uint32_t reserved;
  uint64_t branch_pages;
  uint64_t leaf_pages;
  uint64_t extent_pages; /* pages of large values */
  uint64_t large_values; /* entries whose value lies in an extent */
} johnny_table_info;

/* From the table's record, in constant time. Counts within a write transaction include its changes. */
JOHNNY_API int johnny_table_get_info(johnny_txn* txn, johnny_table* table, johnny_table_info* info);

typedef struct johnny_table_scan_info {
  size_t struct_size;
  uint64_t leaf_bytes_used; /* of leaf_pages * page size, headers included */
  uint64_t branch_bytes_used;
  uint64_t key_bytes;
  uint64_t value_bytes; /* large values included */
  uint64_t largest_key;
  uint64_t largest_value;
  uint64_t smallest_leaf_fill; /* bytes used in the emptiest leaf */
} johnny_table_scan_info;

/* Reads every page of the table, except large values. Committed state only: a read transaction is needed. */
JOHNNY_API int johnny_table_scan(johnny_txn* txn, johnny_table* table, johnny_table_scan_info* info);

/* Brings the table's pages into memory and checks them, so that what is read first is as fast as what is read again: for when a
 * machine has restarted. Large values are left out. `max_bytes`: no more than so much, upper pages first; 0: no limit. *bytes
 * (may be NULL): what it came to. Needs a read transaction. Errors: CORRUPT, NO_MEMORY, WRONG_TXN, NO_TABLE, TXN_*. */
JOHNNY_API int johnny_table_warm_up(johnny_txn* txn, johnny_table* table, uint64_t max_bytes, uint64_t* bytes);

/* ---- Bulk loading ------------------------------------------------------------------------------------------------ */

/* Builds a table's tree bottom-up from entries in ascending key order: each page is written once, full, and needs no memory
 * afterwards. The table gets the new tree, and loses what it had, at johnny_builder_finish(); until then, and if the builder is
 * given up, it is as it was. To other transactions the exchange happens when this one commits. */
typedef struct johnny_builder johnny_builder;

enum johnny_builder_flag { JOHNNY_BUILD_REPLACE = 1 /* the table's present entries go; without it the table must be empty */ };

/* Begins. `fill_percent`: how full leaves get, 50 to 100; 0: 100, which is best for what is hardly changed later. The transaction
 * may be used meanwhile, other tables' builders included, but not be given nested ones. A builder must be closed. Errors: EXISTS
 * (the table has entries and JOHNNY_BUILD_REPLACE is not given), IN_USE (a nested transaction), READ_ONLY_TXN, INVALID_ARGUMENT,
 * NO_TABLE, TXN_*, NO_MEMORY. */
JOHNNY_API int johnny_builder_open(johnny_txn* txn, johnny_table* table, uint32_t flags, uint32_t fill_percent,
                                   johnny_builder** builder);
/* Adds an entry, whose key is greater than all before. Errors: NOT_ASCENDING, KEY_TOO_LARGE, VALUE_TOO_LARGE, INVALID_ARGUMENT
 * (the builder goes on after these); SIZE_LIMIT, DISK_FULL, IO_ERROR, NO_MEMORY, CORRUPT, TXN_* (it can only be closed). */
JOHNNY_API int johnny_builder_add(johnny_builder* builder, const void* key, size_t key_size, const void* value,
                                  size_t value_size);
/* Gives the table the new tree. A builder without entries empties the table. Errors as johnny_builder_add and johnny_table_clear;
 * EXISTS if the table has got entries meanwhile and JOHNNY_BUILD_REPLACE is not given. */
JOHNNY_API int johnny_builder_finish(johnny_builder* builder);
/* Frees the builder; without johnny_builder_finish() its pages go back. Before or after the transaction's end. NULL is allowed.
 * Should memory run out for giving them back, the transaction can only be aborted (johnny_txn_info.failed). */
JOHNNY_API void johnny_builder_close(johnny_builder* builder);

/* ---- Named snapshots -------------------------------------------------------------------------------------------- */

/* A named snapshot stays readable until its name is deleted, across restarts, for the price of the pages that have changed since.
 * Names are 1 to 254 bytes, zero bytes excluded; they have nothing to do with tables' names. Several names may keep one snapshot.
 */

/* Within a write transaction: keeps the snapshot that the transaction began with, without the transaction's own changes, under
 * `name`, once the transaction commits. If lazy commits have made that snapshot it is made durable first, as by johnny_sync().
 * Errors: EXISTS, INVALID_ARGUMENT, READ_ONLY_TXN, and as johnny_put and johnny_sync. */
JOHNNY_API int johnny_snapshot_create(johnny_txn* txn, const char* name);

/* Within a write transaction: gives the name up. The snapshot's pages come back once the commit is durable and nothing else sees
 * them: no transaction that reads it, no other name. Errors: NO_SNAPSHOT, INVALID_ARGUMENT, READ_ONLY_TXN and as johnny_delete.
 */
JOHNNY_API int johnny_snapshot_delete(johnny_txn* txn, const char* name);

/* Begins a read transaction on the named snapshot. It is used and ended as any other, but cannot be reset (JOHNNY_WRONG_TXN):
 * renewing would lead away from the name. It lives on when the name is deleted meanwhile. Errors: NO_SNAPSHOT, INVALID_ARGUMENT,
 * READERS_FULL, NO_MEMORY, CORRUPT. */
JOHNNY_API int johnny_begin_snapshot(johnny_env* env, const char* name, johnny_txn** txn);

typedef struct johnny_snapshot_info {
  size_t struct_size;
  const char* name;         /* valid during the callback */
  uint64_t id;              /* the transaction whose commit made the snapshot: johnny_txn_id() of its readers */
  uint64_t lag;             /* the listing transaction's id less this one */
  uint64_t page_count;      /* pages of the file then */
  uint64_t entries;         /* of the main table */
  uint64_t tables;          /* named ones */
  uint64_t pages_held_back; /* pages that only this snapshot can see, under whatever names: what comes back without them. 0 while
                               another write transaction is running */
} johnny_snapshot_info;

typedef int (*johnny_snapshot_callback)(void* context, const johnny_snapshot_info* snapshot);
/* Calls `visit` for each named snapshot that `txn` sees, in byte order of the names; a non-zero result stops it with
 * JOHNNY_STOPPED. A transaction on an old snapshot sees the names of then, of which some may have been deleted since. */
JOHNNY_API int johnny_snapshot_list(johnny_txn* txn, johnny_snapshot_callback visit, void* context);

/* ---- Inspection ------------------------------------------------------------------------------------------------- */

typedef struct johnny_reader_info {
  size_t struct_size;
  uint64_t process_id;
  uint64_t thread_id;
  uint64_t snapshot;        /* transaction id it sees */
  uint64_t lag;             /* commits since (by id) */
  uint64_t age_ms;          /* since it began */
  uint64_t pages_held_back; /* pending pages that only wait for snapshots this old */
  uint32_t asked_to_go;     /* 1: it held back too much and loses its snapshot at its next call */
  char label[28];           /* see johnny_txn_set_label */
} johnny_reader_info;

/* Gives a read transaction a name of at most 24 bytes (longer ones are cut), for johnny_reader_list in every process. */
JOHNNY_API int johnny_txn_set_label(johnny_txn* txn, const char* label);

/* Frees the reader slots of processes that have died; *freed (may be NULL): how many readers they had. This also happens by
 * itself when they stand in a writer's way. */
JOHNNY_API int johnny_reader_check(johnny_env* env, uint32_t* freed);

typedef int (*johnny_reader_callback)(void* context, const johnny_reader_info* reader);
/* Calls `visit` for each live reader; a non-zero result stops it with JOHNNY_STOPPED. */
JOHNNY_API int johnny_reader_list(johnny_env* env, johnny_reader_callback visit, void* context);

/* A run of pages that hold no live data of the newest snapshot. */
typedef struct johnny_free_run {
  size_t struct_size;
  uint64_t first_page;
  uint64_t pages;
  uint64_t birth;     /* pending only: transaction that wrote the pages (0: unknown, old) */
  uint64_t death;     /* pending only: transaction that freed them; 0: reusable now */
  uint64_t waits_for; /* pending only: the newest snapshot that can still see them */
} johnny_free_run;

typedef int (*johnny_free_run_callback)(void* context, const johnny_free_run* run);
/* All free and pending runs of the newest snapshot, by page number among the free and among the pending ones. */
JOHNNY_API int johnny_free_run_list(johnny_env* env, johnny_free_run_callback visit, void* context);

enum johnny_page_kind {
  JOHNNY_PAGE_UNKNOWN = 0,
  JOHNNY_PAGE_MASTER = 1, /* the first 64 KiB */
  JOHNNY_PAGE_BRANCH = 2,
  JOHNNY_PAGE_LEAF = 3,
  JOHNNY_PAGE_EXTENT = 4,
  JOHNNY_PAGE_FREE_LOG = 5,
  JOHNNY_PAGE_FREE = 6,
  JOHNNY_PAGE_PENDING = 7
};

typedef struct johnny_page_run {
  size_t struct_size;
  uint64_t first_page;
  uint64_t pages;
  uint32_t kind;     /* enum johnny_page_kind: BRANCH, LEAF, EXTENT or FREE_LOG */
  uint32_t level;    /* 0 for leaves */
  const char* table; /* "" main table, NULL the catalog or the free log; valid during the callback */
} johnny_page_run;

typedef int (*johnny_page_run_callback)(void* context, const johnny_page_run* run);
/* Calls `visit` for every page in use by the transaction's snapshot, in tree order. Needs a read transaction. */
JOHNNY_API int johnny_page_list(johnny_txn* txn, johnny_page_run_callback visit, void* context);

typedef struct johnny_page_info {
  size_t struct_size;
  uint64_t page;
  uint64_t birth;
  uint64_t stored_number; /* the number in the page's own header */
  uint64_t checksum;      /* as stored */
  uint64_t computed_checksum;
  uint32_t kind; /* enum johnny_page_kind, as the header says; UNKNOWN if it says none: perhaps an extent or free */
  uint32_t level;
  uint32_t count;
  uint32_t prefix_size;
  uint32_t lower, upper; /* free space of the page lies between */
  uint32_t sound;        /* 1: checksum and structure are right, so its entries can be read */
  uint32_t reserved;
  const void* bytes;   /* page_size bytes, valid until the transaction ends */
  const char* finding; /* why it is not sound; "" if it is; valid until the thread's next call */
} johnny_page_info;

/* Page `page` of the file, whatever it holds; damage is reported in *info, not as an error. Errors: NOT_FOUND past the end of the
 * snapshot. */
JOHNNY_API int johnny_page_get_info(johnny_txn* txn, uint64_t page, johnny_page_info* info);

typedef struct johnny_page_entry {
  size_t struct_size;
  johnny_slice key;        /* leaf: the key; branch: the separator (without a key for entry 0) */
  johnny_slice value;      /* leaf: the value, or empty if it is in an extent */
  uint64_t child_page;     /* branch: the child; leaf: first page of the extent, or 0 */
  uint64_t child_checksum; /* branch: low 32 bits */
  uint64_t child_entries;  /* branch: entries below the child; leaf: size of the value in the extent */
} johnny_page_entry;

/* Entry `index` of a sound branch or leaf page. NOT_FOUND past its count; WRONG kind of page or not sound: INVALID_ARGUMENT. The
 * separator's memory is valid until the thread's next call. */
JOHNNY_API int johnny_page_get_entry(johnny_txn* txn, uint64_t page, uint32_t index, johnny_page_entry* entry);

typedef struct johnny_path_step {
  size_t struct_size;
  uint64_t page; /* 0: changed in this transaction and without a page number yet */
  uint64_t birth;
  uint32_t level;
  uint32_t count; /* entries or children in the page */
  uint32_t index; /* the child taken, or the position of the key in the leaf */
  uint32_t found; /* leaf: 1 if the key is there */
} johnny_path_step;

typedef int (*johnny_path_callback)(void* context, const johnny_path_step* step);
/* The pages from the root to where `key` is or would be. */
JOHNNY_API int johnny_path(johnny_txn* txn, johnny_table* table, const void* key, size_t key_size, johnny_path_callback visit,
                           void* context);

/* ---- Verification ----------------------------------------------------------------------------------------------- */

/* What is wrong, for programs to tell apart. */
enum johnny_finding_kind {
  JOHNNY_FINDING_PAGE = 1,  /* a page cannot be read: checksum, number, structure, key order; so nothing below it is checked */
  JOHNNY_FINDING_VALUE = 2, /* a large value's checksum */
  JOHNNY_FINDING_KEYS = 3,  /* keys that lie outside of the separators above them */
  JOHNNY_FINDING_BIRTH = 4, /* younger than what refers to it */
  JOHNNY_FINDING_COUNT = 5, /* a count of entries, pages or tables is wrong */
  JOHNNY_FINDING_OWNED_TWICE = 6, /* a page is in use in two places, or in use and free */
  JOHNNY_FINDING_LOST = 7,        /* a page is neither in use nor free */
  JOHNNY_FINDING_FREE_LOG = 8,    /* the free log is damaged, or says something else than the writer goes by */
  JOHNNY_FINDING_MASTER = 9,      /* no master page says what it should */
  JOHNNY_FINDING_FILE = 10,       /* the file is too short, or cannot be read */
  JOHNNY_FINDING_SNAPSHOT = 11    /* a named snapshot's record makes no sense, or its pages are not kept */
};
/* "page", "value", "keys", "birth", "count", "owned-twice", "lost", "free-log", "master", "file", "snapshot"; never NULL. */
JOHNNY_API const char* johnny_finding_name(uint32_t kind);

typedef struct johnny_finding {
  size_t struct_size;
  uint64_t page;       /* 0: not about one page */
  const char* table;   /* NULL: not about a table */
  const char* message; /* one sentence; valid, like table, during the callback */
  uint32_t kind;       /* enum johnny_finding_kind */
} johnny_finding;

/* A non-zero result stops the check. */
typedef int (*johnny_finding_callback)(void* context, const johnny_finding* finding);
typedef int (*johnny_progress_callback)(void* context, uint64_t pages_done, uint64_t pages_total);

/* All zeros but struct_size: the defaults. */
typedef struct johnny_verify_options {
  size_t struct_size;
  johnny_finding_callback on_finding;   /* may be NULL */
  johnny_progress_callback on_progress; /* may be NULL */
  void* context;                        /* of both; they are called by the calling thread */
  uint32_t threads; /* beside it that read large tables: at most 64; 1: none; 0: one per processor, at most 4 */
} johnny_verify_options;

typedef struct johnny_verify_result {
  size_t struct_size;
  uint64_t pages_checked;
  uint64_t entries_checked;
  uint64_t findings;
} johnny_verify_result;

/* Checks the newest snapshot: every page reachable exactly once, or free, or pending; keys in order and between their
 * separators; counts, levels, births; every checksum, large values included. Of named snapshots, all that the newest does not
 * share: that it is as it was, and kept. Waits for a running write transaction to end, and
 * holds up write transactions meanwhile; in a read-only environment, neither. Uses a byte of memory for each page of the file.
 * With several threads findings come in no particular order. `options` and `result` may be NULL.
 * JOHNNY_OK: nothing found. JOHNNY_CORRUPT: findings were reported. JOHNNY_STOPPED: by a callback. JOHNNY_BUSY: this thread began
 * the write transaction that is running, so that the call would wait for itself. */
JOHNNY_API int johnny_verify(johnny_env* env, const johnny_verify_options* options, johnny_verify_result* result);

/* All zeros but struct_size: the defaults. */
typedef struct johnny_scrub_options {
  size_t struct_size;
  uint64_t bytes_per_second;          /* read at most; 0: 8 MiB */
  uint32_t interval_s;                /* seconds between two passes; 0: one pass */
  johnny_finding_callback on_finding; /* called by the scrubbing thread, which it must not stop otherwise; may be NULL */
  void* context;                      /* of on_finding */
} johnny_scrub_options;

typedef struct johnny_scrub_info {
  size_t struct_size;
  uint32_t running;  /* 1: a thread is at it */
  uint64_t passes;   /* completed since johnny_scrub_start */
  uint64_t pages;    /* read since then; some upper pages more than once a pass */
  uint64_t findings; /* reported since then */
} johnny_scrub_info;

/* Begins to read all that the database holds in the background, so that damage is noticed while a backup still has what is
 * damaged: tables, large values, free log, master pages, named snapshots, with their checksums and the order of their keys.
 * Nobody is held up, and no snapshot is kept for longer than a slice of a tenth of a second, or a leaf with its large values,
 * takes; so what the pass has left behind is read when the next one comes. What is in the system's page cache is checked there,
 * and not read from the disk again. Takes a reader slot now and then, and waits if none is free. A finding is reported once a
 * pass (of the first 4,096 that is certain). Ends with the last pass, on_finding, johnny_scrub_stop() or the last johnny_close()
 * of this process: whoever closes before others do, stops it first if `context` is to go. on_finding may use the environment, but
 * not close it, nor stop or start a scrub (BUSY). Errors: IN_USE (it runs already), NO_MEMORY (also: no thread),
 * INVALID_ARGUMENT. */
JOHNNY_API int johnny_scrub_start(johnny_env* env, const johnny_scrub_options* options);
/* Returns when the thread has ended, which takes as long as a page, or 1 MiB of a large value, and on_finding; at once if there
 * is none. BUSY: called by on_finding. */
JOHNNY_API int johnny_scrub_stop(johnny_env* env);
JOHNNY_API int johnny_scrub_get_info(johnny_env* env, johnny_scrub_info* info);

/* ---- Salvage ---------------------------------------------------------------------------------------------------- */

/* What could not be read. The strings and slices are valid during the callback. */
typedef struct johnny_loss {
  size_t struct_size;
  const char* table; /* "": the main table; NULL: not about one table */
  uint64_t page;     /* the damaged page; 0: not about one page */
  johnny_slice from; /* keys in [from, to) are lost; data NULL: from the first, or to the last */
  johnny_slice to;
  uint64_t entries;    /* at most so many, as far as that is known */
  const char* message; /* one sentence */
} johnny_loss;

typedef struct johnny_salvage_result {
  size_t struct_size;
  uint64_t txn_id;       /* the commit whose state was read */
  uint64_t entries;      /* written */
  uint64_t tables;       /* besides the main table */
  uint64_t losses;       /* that were reported */
  uint64_t entries_lost; /* the sum of theirs */
} johnny_salvage_result;

/* A non-zero result stops it. */
typedef int (*johnny_loss_callback)(void* context, const johnny_loss* loss);

/* Writes everything readable of the damaged database `path`, which nobody may have open and which is not changed, to a new one,
 * `out`, with the page size that it had. Only what has a right checksum is taken. Where the upper part of a tree is damaged, the
 * pages below it are looked for in the whole file; those whose table cannot be told go to tables "lost+found/page-N". Named
 * snapshots are not carried over. `options` are those of johnny_open() for `out`; NULL: the defaults. Losses are reported when
 * everything has been read. `on_loss` and `result` may be NULL.
 * JOHNNY_OK: nothing is lost. JOHNNY_CORRUPT: what is not lost is in `out`; or there is no readable master page, and there is
 * no `out`. JOHNNY_EXISTS: `out` is there already. JOHNNY_BUSY: somebody has the damaged database open. JOHNNY_STOPPED: by
 * the callback, when `out` is complete. Otherwise an error of reading `path` or of writing `out`, which is left incomplete. */
JOHNNY_API int johnny_salvage(const char* path, const char* out, const johnny_options* options, johnny_loss_callback on_loss,
                              void* context, johnny_salvage_result* result);

#ifdef __cplusplus
}
#endif

#endif /* JOHNNY_JOHNNY_H_ */
