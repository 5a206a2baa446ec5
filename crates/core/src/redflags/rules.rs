//! The table: patterns of real programs, most telling first.

use std::sync::LazyLock;

use regex::{RegexSet, RegexSetBuilder};

use super::Flag::{self, *};

/// What no healthy process prints, whatever level it gives it.
const ALWAYS: &[(Flag, &str)] = &[
    (
        OutOfMemory,
        r"java\.lang\.OutOfMemoryError|JavaScript heap out of memory|Out of memory: Killed process",
    ),
    (OutOfMemory, r"\bmemory cgroup out of memory\b|\boom-kill(?:er|:)|runtime: out of memory"),
    (Panic, r"\bthread '.*' (?:\([0-9]+\) )?panicked at\b"),
    (DataRefused, r"\binitialized by PostgreSQL version .*not compatible with this version"),
    (Crash, r"\bwas terminated by signal (?:4|6|7|8|9|11)\b|\bsegmentation fault\b.*\bcore dumped\b"),
];

const SPECIFIC: &[(Flag, &str)] = &[
    // The data, before anything else that such a line may hold.
    (DataRefused, r"database files are incompatible with server"),
    (DataRefused, r"could not locate a valid checkpoint record|invalid (?:primary )?checkpoint record"),
    (
        DataRefused,
        r"invalid page in block|incorrect checksum in control file|there appears to be PostgreSQL data in",
    ),
    (
        DataRefused,
        r"unsupported redo log format|redo log (?:file )?was created with|database page corruption",
    ),
    (
        DataRefused,
        r"cannot (?:up|down)grade (?:a node|an? index|server|from|directly)|invalid mysql server (?:up|down)grade",
    ),
    (DataRefused, r"upgrade after a crash is not supported|data dictionary initialization failed"),
    (DataRefused, r"upgrading from mysql .* (?:is )?not supported|is marked as crashed"),
    (
        DataRefused,
        r"can't handle RDB format version|wrong signature trying to load DB|short read or OOM loading DB",
    ),
    (DataRefused, r"fatal error loading the DB\b|error reading the RDB (?:base )?file"),
    (DataRefused, r"bad file format reading the append only file|internal error in RDB reading"),
    (DataRefused, r"wrong mongod version|too recent to start up on the existing data files"),
    (DataRefused, r"(?:invalid|incompatible|mismatch\w*|unsupported|wrong) featureCompatibilityVersion"),
    (
        DataRefused,
        r"featureCompatibilityVersion.*(?:mismatch|not compatible|incompatible|invalid|must be|requires)",
    ),
    (
        DataRefused,
        r"(?:unsupported|incompatible) wiredtiger|wiredtiger.*(?:metadata corruption|WT_TRY_SALVAGE)",
    ),
    (
        DataRefused,
        r"was created (?:with|in) version .*minimum compatible|IndexFormatTooOld|IndexFormatTooNew|CorruptIndex",
    ),
    (DataRefused, r"\bformat version is not supported\b|/nodes/0: not a directory"),
    (DataRefused, r"version id \d+ must contain OpenSearch mask"),
    (
        DataRefused,
        r"\b(?:required|mandatory) feature flag not enabled|disabled_(?:required|mandatory)_feature_flag",
    ),
    (DataRefused, r"failed_to_initialize_feature_flags_registry"),
    (
        DataRefused,
        r"contains record of unknown migration|migration specification not found|incompatible InfluxDB [0-9.]+ metadata",
    ),
    (DataRefused, r"database disk image is malformed|file is (?:encrypted or is )?not a database"),
    (
        DataRefused,
        r"newer than (?:this|the) (?:version|release|binary|server)(?: of \S+)? (?:supports|can|understands)",
    ),
    (DataRefused, r"is for a newer \w+|version of the data .* is higher than"),
    (
        DataRefused,
        r"\b(?:created|written|last used|upgraded) (?:by|with|from) a (?:newer|later|more recent) version",
    ),
    (
        DataRefused,
        r"\b(?:database|schema|data|storage)\b.{0,40}\bversion\b.{0,40}\b(?:is|are) (?:newer|too new|too old|higher than|unsupported|not supported|incompatible)",
    ),
    (
        DataRefused,
        r"\bunsupported (?:database|schema|data|storage|file format|on-?disk) (?:schema |format )?version",
    ),
    (
        DataRefused,
        r"\bdowngrad(?:e|es|ing)\b.{0,40}\b(?:is|are) not (?:supported|possible|allowed)|refusing to downgrade",
    ),
    (
        DataRefused,
        r"\b(?:data|database|index|store|file|block|record|page|journal|wal|table|segment)s?(?: \S+){0,2} (?:is|are|appears to be|seems to be|may be|looks) corrupt",
    ),
    (
        DataRefused,
        r"\bcorrupt(?:ed)? (?:data|database|index|store|block|record|page|journal|wal|table|segment|file)",
    ),
    // Migrations, and schemas that the code does not expect.
    (
        MigrationFailed,
        r#"\bmigrations?(?: [\w.'"/-]+){0,8} (?:has |have )?(?:failed|aborted|canceled|cancelled|error(?:ed)?)\b"#,
    ),
    (
        MigrationFailed,
        r"\bfail(?:ed|ure)? (?:to |during |in |while )?(?:\w+ ){0,4}(?:migrations?|migrate|migrating)\b",
    ),
    (
        MigrationFailed,
        r"\b(?:error|exception)s? (?:while |during |in |running |executing |applying |on )+(?:\w+ ){0,3}migrat",
    ),
    (
        MigrationFailed,
        r"\b(?:could not|cannot|can't|unable to) (?:run|apply|execute|perform|complete|migrate)\b.{0,30}\b(?:migrat|schema|database)",
    ),
    (
        MigrationFailed,
        r"can't locate revision identified by|target database is not up to date|multiple head revisions",
    ),
    (MigrationFailed, r"django\.db\.migrations\.exceptions|InconsistentMigrationHistory|\bBadMigrationError"),
    (MigrationFailed, r"\bP30(?:05|06|08|09|18)\b|found failed migrations in the target database"),
    (
        MigrationFailed,
        r"\bFlyway\w*Exception|migrations? (?:have )?failed validation|detected (?:failed|resolved|applied) migration (?:to version|not)",
    ),
    (
        MigrationFailed,
        r"liquibase\.exception\.|MigrationFailedException|PendingMigrationError|later migrations cancell?ed",
    ),
    (
        MigrationFailed,
        r"\bdirty database version|migration directory is corrupt|migrations? (?:is|are) (?:pending|missing)",
    ),
    (
        MigrationFailed,
        r"no such (?:table|column): |\b(?:relation|column) \S+ (?:of relation \S+ )?does not exist",
    ),
    (MigrationFailed, r"unknown column '.*' in '|\btable '.*' doesn't exist|\bUndefined(?:Table|Column)\b"),
    // Room.
    (DiskFull, r"\bENOSPC\b|\bEDQUOT\b|no space left on device|disk quota exceeded|\bdisk (?:is )?full\b"),
    (DiskFull, r"database or disk is full|flood.?stage (?:disk )?watermark|the table '.*' is full"),
    (
        OutOfMemory,
        r"\bENOMEM\b|\bout of memory\b|cannot allocate memory|std::bad_alloc|memory allocation of \d+ bytes failed",
    ),
    (OutOfMemory, r"\bMemoryError\b|allowed memory size of \d+ bytes exhausted|OOM command not allowed"),
    // Logins and neighbours.
    (Authentication, r"password authentication failed|access denied for user|no pg_hba\.conf entry"),
    (
        Authentication,
        r"\bauthentication (?:has )?failed\b|\bWRONGPASS\b|\bNOAUTH\b|\bACCESS_REFUSED\b|login was refused",
    ),
    (Authentication, r#"\brole "[^"]*" does not exist|invalid username-password pair|AuthenticationFailed"#),
    (
        DependencyRefused,
        r"\bECONNREFUSED\b|\bconnection refused\b|\bENOTFOUND\b|\bEAI_AGAIN\b|\bEHOSTUNREACH\b",
    ),
    (
        DependencyRefused,
        r"could not connect to (?:server|database|redis)|can't connect to (?:\w+ )?(?:server|mysql)",
    ),
    (
        DependencyRefused,
        r"name or service not known|temporary failure in name resolution|no such host|could not translate host name",
    ),
    (
        DependencyRefused,
        r"\bno route to host\b|unable to connect to (?:the )?(?:database|server|redis)|NoBrokersAvailable",
    ),
    // Programs that can't start. A path that a client asked for is no missing file.
    (Error, r#"\bopen\(\) "[^"]*" failed \(2: "#),
    (MissingFile, r"error while loading shared libraries|cannot open shared object file|symbol lookup error"),
    (
        MissingFile,
        r"\bexec format error\b|executable file not found|version `?\w+_[0-9.]+'? not found|undefined symbol",
    ),
    (
        MissingFile,
        r"\bcannot find module\b|\bModuleNotFoundError\b|\bImportError\b|\bClassNotFoundException|NoClassDefFoundError",
    ),
    (
        MissingFile,
        r"\bENOENT\b|\bno such file or directory\b|\bFileNotFound(?:Error|Exception)\b|^\S*sh: .*: not found$",
    ),
    (MissingFile, r"could not find or load main class|cannot load such file"),
    // The end of a process.
    (Panic, r"^(?:\S+ )?panic: |\bpanic(?:ked)?: runtime error|\bPANIC:  "),
    (Crash, r"\bsegmentation fault\b|\bSIGSEGV\b|\bSIGABRT\b|\bcore dumped\b|\bsegfault at\b"),
    (Crash, r"UnhandledPromiseRejection|\buncaught ?exception\b|\bunhandled exception\b|exception in thread"),
    (Crash, r"^\S+\.rb:\d+:in [`'].*\(\w+(?:::\w+)*\)$|\bUncaught (?:\w+\\)*\w*(?:Error|Exception)\b"),
    (Crash, r"\bexited: .* (?:not expected)|entered FATAL state|\bworker failed to boot\b"),
    // Frames.
    (
        StackTrace,
        r"^\s*traceback \(most recent call last\)|^goroutine \d+ \[|^\s*caused by: |^\s*stack ?trace:?$",
    ),
    (StackTrace, r#"^\s+at .+[(:].*\d+\)?$|^\s+file ".*", line \d+|^\s*\.\.\. \d+ more$"#),
];

struct Table {
    rules: &'static [(Flag, &'static str)],
    set: RegexSet,
}

impl Table {
    fn new(rules: &'static [(Flag, &'static str)]) -> Self {
        let set = RegexSetBuilder::new(rules.iter().map(|(_, pattern)| pattern))
            .case_insensitive(true)
            .size_limit(64 << 20)
            .build()
            .expect("the patterns are constants that the tests compile");
        Self { rules, set }
    }

    /// The first rule that matches.
    fn find(&self, text: &str) -> Option<Flag> {
        self.set.matches(text).iter().next().map(|index| self.rules[index].0)
    }
}

static ALWAYS_TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(ALWAYS));
static SPECIFIC_TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(SPECIFIC));

/// What the line means whatever its level is.
pub fn always(text: &str) -> Option<Flag> {
    ALWAYS_TABLE.find(text)
}

/// What the line means if its level does not say that nothing is wrong.
pub fn specific(text: &str) -> Option<Flag> {
    SPECIFIC_TABLE.find(text)
}
