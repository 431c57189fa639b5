import { assert, assertEquals } from "@std/assert";
import { type Command, parseCommandLine, variableWarnings } from "../../lib/cli.ts";
import { UsageError } from "../../lib/errors.ts";
import { DEFAULTS, type Settings, settingsWarnings } from "../../lib/settings.ts";
import { USAGE, versionText } from "../../lib/usage.ts";

type Variables = Record<string, string>;

function settingsOf(args: string[], variables: Variables = {}): Settings {
  const command = parseCommandLine(args, (name) => variables[name]);
  assert(command.kind === "run");
  return command.settings;
}

/** The message of the UsageError that these arguments and variables lead to. */
function refusal(args: string[], variables: Variables = {}): string {
  try {
    parseCommandLine(args, (name) => variables[name]);
  } catch (error) {
    assert(error instanceof UsageError, String(error));
    assertEquals(error.exitCode, 64);
    return error.message;
  }
  throw new Error("It was not refused");
}

Deno.test("parseCommandLine() gives the Python tool's defaults, but a rate of 1e-9", () => {
  assertEquals(settingsOf([]), {
    destination: "-",
    logLevel: "INFO",
    persistencePath: ".",
    filterCapacity: 1_000_000,
    filterErrorRate: 1e-9,
    batchCount: 3,
    batchDurationSec: 3600,
    identity: "content",
    syncIntervalMs: 100,
    startTimeoutSec: 0,
    namespaces: [],
    fieldSelector: null,
    managedFields: "keep",
    wrap: null,
    cluster: null,
    metricsAddress: null,
    unhealthyAfterSec: 120,
    standby: false,
  });
});

/** Each setting with a value, and how that reads. */
const GIVEN: [flag: string, value: string, key: keyof Settings, read: unknown][] = [
  ["destination", "/var/log/events.jsonl", "destination", "/var/log/events.jsonl"],
  ["log-level", "warn", "logLevel", "WARNING"],
  ["persistence-path", "/var/lib/pipe", "persistencePath", "/var/lib/pipe"],
  ["filter-capacity", "2_000", "filterCapacity", 2000],
  ["filter-error-rate", "1e-6", "filterErrorRate", 1e-6],
  ["batch-count", " 5 ", "batchCount", 5],
  ["batch-duration-sec", "+60", "batchDurationSec", 60],
  ["identity", "name-count", "identity", "name-count"],
  ["sync-interval-ms", "250", "syncIntervalMs", 250],
  ["start-timeout-sec", "0", "startTimeoutSec", 0],
  ["namespaces", " shop,kube-system,,shop ", "namespaces", ["kube-system", "shop"]],
  ["field-selector", "type!=Normal", "fieldSelector", "type!=Normal"],
  ["managed-fields", "drop", "managedFields", "drop"],
  ["wrap", 'a "b"', "wrap", 'a "b"'],
  ["metrics-address", "[::1]:9090", "metricsAddress", { hostname: "::1", port: 9090 }],
  ["unhealthy-after", "30", "unhealthyAfterSec", 30],
];

Deno.test("parseCommandLine() takes HOST:PORT as an address to listen on, and nothing else", () => {
  const addressOf = (value: string) => settingsOf([`--metrics-address=${value}`]).metricsAddress;
  assertEquals(addressOf("127.0.0.1:9090"), { hostname: "127.0.0.1", port: 9090 });
  assertEquals(addressOf(" node-1.example:0 "), { hostname: "node-1.example", port: 0 });
  assertEquals(addressOf("[::]:65535"), { hostname: "::", port: 65_535 });
  assertEquals(addressOf("[fe80::1%eth0]:1"), { hostname: "fe80::1%eth0", port: 1 });
  const wrong = ["9090", ":9090", "localhost", "localhost:", "localhost:http", "localhost:65536"];
  for (const value of [...wrong, "::1:9090", "[::1]", "http://localhost:1", "a b:1", "-a:1"]) {
    assertEquals(
      refusal([`--metrics-address=${value}`]),
      `--metrics-address must be HOST:PORT with a port of at most 65535, but is "${value}". ` +
        "Example: 127.0.0.1:9090, or 0.0.0.0:9090 or [::]:9090 for all addresses of this machine.",
    );
  }
});

Deno.test("parseCommandLine() gives import its files and the settings of the ring", () => {
  const read = (args: string[], variables: Record<string, string> = {}) =>
    parseCommandLine(args, (name) => variables[name]);
  assertEquals(read(["import", "a.gz", "--json", "--", "-b"]), {
    kind: "import",
    options: {
      persistencePath: ".",
      filterCapacity: 1_000_000,
      filterErrorRate: 1e-9,
      batchCount: 3,
      batchDurationSec: 3600,
      identity: "content",
      files: ["a.gz", "-b"],
      json: true,
    },
  });
  const command = read(["import", "a", "--batch-count=5", "--identity=name-count"], {
    KUBE_EVENT_PIPE_FILTER_CAPACITY: "2_000",
    KUBE_EVENT_PIPE_PERSISTENCE_PATH: "/state",
    KUBE_EVENT_PIPE_DESTINATION: "/not/asked",
  });
  assert(command.kind === "import");
  const { batchCount, identity, filterCapacity, persistencePath } = command.options;
  assertEquals(
    [batchCount, identity, filterCapacity, persistencePath],
    [5, "name-count", 2000, "/state"],
  );
  assertEquals(
    refusal(["import"]),
    "import needs files of lines: import FILE... See kube-event-pipe --help.",
  );
  assertEquals(
    refusal(["import", "--destination=x", "a"]),
    "--destination is no flag of import, which takes --persistence-path, --filter-capacity, " +
      "--filter-error-rate, --batch-count, --batch-duration-sec, --identity, --json. See " +
      "kube-event-pipe --help.",
  );
});

Deno.test("parseCommandLine() takes --standby, or its variable as true or false", () => {
  const variable = (value: string) => ({ KUBE_EVENT_PIPE_STANDBY: value });
  assertEquals(settingsOf(["--standby"]).standby, true);
  assertEquals(settingsOf(["--standby"], variable("false")).standby, true);
  for (const value of ["true", "1", " TRUE "]) {
    assertEquals(settingsOf([], variable(value)).standby, true);
  }
  for (const value of ["false", "0", ""]) {
    assertEquals(settingsOf([], variable(value)).standby, false);
  }
  assertEquals(
    refusal([], variable("yes")),
    'KUBE_EVENT_PIPE_STANDBY must be true or false, but is "yes". Example: true.',
  );
});

Deno.test("parseCommandLine() refuses what cannot be a namespace, and more than there is room for", () => {
  for (const name of ["Shop", "shop_1", "-shop", "shop.example", "x".repeat(64)]) {
    assertEquals(
      refusal([`--namespaces=kube-system,${name}`]),
      `--namespaces must be names of namespaces between commas, but "${name}" cannot be one: ` +
        "small letters, digits and -, at most 63. Example: shop,kube-system.",
    );
  }
  const many = Array.from({ length: 41 }, (_, n) => `n${n}`).join(",");
  assertEquals(
    refusal([`--namespaces=${many}`]).split(":")[0],
    "--namespaces must be at most 40 namespaces, but is 41",
  );
  assertEquals(settingsOf(["--namespaces=,"]).namespaces, []);
});

Deno.test("parseCommandLine() refuses a field selector that is too long for a checkpoint", () => {
  assert(
    refusal([`--field-selector=reason=${"x".repeat(244)}`]).startsWith(
      "--field-selector must have at most 250 characters, but has 251: ",
    ),
  );
});

Deno.test("parseCommandLine() takes a field selector of any terms, and refuses what is none", () => {
  for (const text of ["a.b=c,type!=Normal", "reason==x", "reason=", String.raw`reason=a\,b\=c\\`]) {
    assertEquals(settingsOf([`--field-selector=${text}`]).fieldSelector, text);
  }
  for (const text of ["type", "=Normal", "type=a=b", "type=a,", "type=a,,b=c"]) {
    assert(
      refusal([`--field-selector=${text}`]).startsWith(
        "--field-selector must be FIELD=VALUE, FIELD==VALUE or FIELD!=VALUE between commas, but is ",
      ),
      text,
    );
  }
});

Deno.test("parseCommandLine() takes a cluster beside a wrapper's name, and refuses it alone", () => {
  const { wrap, cluster } = settingsOf(["--wrap=event"], { KUBE_EVENT_PIPE_CLUSTER: "prod" });
  assertEquals([wrap, cluster], ["event", "prod"]);
  assertEquals(
    refusal(["--cluster=prod"]),
    "--cluster needs --wrap: the cluster's name stands beside the event, not in it. " +
      "Example: --wrap=event --cluster=prod.",
  );
});

Deno.test("parseCommandLine() refuses names for the wrapper that a line could not be read back by", () => {
  for (const name of ["cluster", "metadata", "old_event"]) {
    assertEquals(
      refusal([`--wrap=${name}`]),
      `--wrap must be another name than "${name}", which means something else where lines are ` +
        "read back. Example: event.",
    );
  }
  assertEquals(settingsOf([`--wrap=${"x".repeat(100)}`]).wrap?.length, 100);
  assert(
    refusal([`--wrap=${"x".repeat(101)}`]).startsWith(
      "--wrap must have at most 100 characters, but has 101: ",
    ),
  );
  assert(
    refusal(["--wrap=a", `--cluster=${"x".repeat(251)}`]).startsWith(
      "--cluster must have at most 250 characters, but has 251: ",
    ),
  );
  assertEquals(
    refusal(["--managed-fields=no"]),
    '--managed-fields must be keep or drop, but is "no". Example: drop.',
  );
});

Deno.test("parseCommandLine() reads each setting from a flag in both forms, and from a variable", () => {
  for (const [flag, value, key, read] of GIVEN) {
    const variable = `KUBE_EVENT_PIPE_${flag.replaceAll("-", "_").toUpperCase()}`;
    const expected = { ...DEFAULTS, [key]: read };
    assertEquals(settingsOf([`--${flag}`, value]), expected, flag);
    assertEquals(settingsOf([`--${flag}=${value}`]), expected, flag);
    assertEquals(settingsOf([], { [variable]: value }), expected, variable);
  }
});

Deno.test("parseCommandLine() lets a flag beat its variable, and the last of two flags win", () => {
  const variables = { KUBE_EVENT_PIPE_BATCH_COUNT: "7", KUBE_EVENT_PIPE_DESTINATION: "/a" };
  assertEquals(settingsOf(["--batch-count=4"], variables).batchCount, 4);
  assertEquals(settingsOf(["--batch-count=4"], variables).destination, "/a");
  assertEquals(settingsOf(["--batch-count=4", "--batch-count", "5"], variables).batchCount, 5);
});

Deno.test("parseCommandLine() does not read a variable whose flag is given, so a bad one is no matter", () => {
  assertEquals(
    settingsOf(["--batch-count=4"], { KUBE_EVENT_PIPE_BATCH_COUNT: "many" }).batchCount,
    4,
  );
});

Deno.test("parseCommandLine() ignores what is empty: arguments, values, variables", () => {
  const variables = { KUBE_EVENT_PIPE_BATCH_COUNT: "", KUBE_EVENT_PIPE_IDENTITY: "" };
  assertEquals(settingsOf([""], variables), DEFAULTS);
  assertEquals(settingsOf(["--context", "", "--batch-count=", ""], variables), DEFAULTS);
  assertEquals(
    settingsOf(["--batch-count", ""], { KUBE_EVENT_PIPE_BATCH_COUNT: "7" }).batchCount,
    7,
  );
});

Deno.test("parseCommandLine() takes --kubeconfig and --context, which are no variables of ours", () => {
  const settings = settingsOf(["--kubeconfig", "/k", "--context=1"], {
    KUBE_EVENT_PIPE_KUBECONFIG: "/x",
    KUBECONFIG: "/y",
  });
  assertEquals([settings.kubeconfig, settings.context], ["/k", "1"]);
});

Deno.test("parseCommandLine() knows stdout by its other names", () => {
  for (
    const name of [
      "-",
      "/dev/stdout",
      "/dev/fd/1",
      "/proc/self/fd/1",
      "//dev/./stdout",
      "/a/../dev/stdout",
    ]
  ) {
    assertEquals(settingsOf(["--destination", name]).destination, "-", name);
    assertEquals(settingsOf([], { KUBE_EVENT_PIPE_DESTINATION: name }).destination, "-", name);
  }
});

Deno.test("parseCommandLine() keeps an odd path as it is given", () => {
  for (const path of ["./-", "-5", "a=b", "/device/x", "dev/null", "/proc2", "a\nb"]) {
    assertEquals(settingsOf(["--destination", path]).destination, path);
  }
  assertEquals(settingsOf(["--destination=--x"]).destination, "--x");
});

Deno.test("parseCommandLine() reads whole numbers as Python's int() does", () => {
  for (const [text, value] of [["007", 7], ["1_0_0", 100], ["\t12\n", 12], ["+3", 3]] as const) {
    assertEquals(settingsOf(["--batch-count", text]).batchCount, value, text);
  }
  for (const text of ["1__0", "_1", "1_", "0x10", "1e3", "1.0", "1,000", "three", "½", "-", " "]) {
    assertEquals(
      refusal([`--batch-count=${text}`]),
      `--batch-count must be a positive whole number, but is ${JSON.stringify(text)}. Example: 3.`,
    );
  }
});

Deno.test("parseCommandLine() reads a rate as Python's float() does", () => {
  for (
    const [text, value] of [["0.01", 0.01], [".5", 0.5], ["1E-3", 1e-3], [" 0.0_1 ", 0.01], [
      "5.e-1",
      0.5,
    ]] as const
  ) {
    assertEquals(settingsOf(["--filter-error-rate", text]).filterErrorRate, value, text);
  }
  for (const text of ["0", "1", "-0.1", "1.5", "nan", "inf", "0,1", "1%", "e-9", ".", "1e"]) {
    assertEquals(
      refusal([], { KUBE_EVENT_PIPE_FILTER_ERROR_RATE: text }),
      `KUBE_EVENT_PIPE_FILTER_ERROR_RATE must be a number above 0 and below 1, ` +
        `but is ${JSON.stringify(text)}. Example: 1e-9.`,
    );
  }
  assertEquals(
    refusal(["--filter-error-rate=1e-16"]),
    '--filter-error-rate must be at least 1e-15, but is "1e-16". Example: 1e-9.',
  );
});

Deno.test("parseCommandLine() refuses zero, negative and huge numbers, and names the variable", () => {
  for (const value of ["0", "-3"]) {
    assertEquals(
      refusal([], { KUBE_EVENT_PIPE_BATCH_COUNT: value }),
      `KUBE_EVENT_PIPE_BATCH_COUNT must be a positive whole number, but is "${value}". Example: 3.`,
    );
  }
  assertEquals(
    refusal([], { KUBE_EVENT_PIPE_FILTER_CAPACITY: "0" }),
    'KUBE_EVENT_PIPE_FILTER_CAPACITY must be a positive whole number, but is "0". Example: 1_000_000.',
  );
  assertEquals(
    refusal(["--filter-capacity=1_000_000_000"]),
    '--filter-capacity must be at most 268,435,456, but is "1_000_000_000". Example: 1_000_000.',
  );
  assertEquals(
    refusal(["--batch-count", "1001"]),
    '--batch-count must be at most 1,000, but is "1001". Example: 3.',
  );
  assertEquals(
    refusal(["--batch-duration-sec", "999999999999999999999"]),
    '--batch-duration-sec must be at most 315,360,000, but is "999999999999999999999". ' +
      "Example: 3600.",
  );
  assertEquals(
    refusal(["--sync-interval-ms=60001"]),
    '--sync-interval-ms must be at most 60,000, but is "60001". Example: 100.',
  );
  assertEquals(
    refusal(["--start-timeout-sec=-1"]),
    '--start-timeout-sec must be a whole number, 0 or more, but is "-1". Example: 60.',
  );
});

Deno.test("parseCommandLine() takes each name of Python's levels in any case, and no other", () => {
  const names = {
    debug: "DEBUG",
    Info: "INFO",
    WARNING: "WARNING",
    warn: "WARNING",
    ERROR: "ERROR",
    critical: "CRITICAL",
    FATAL: "CRITICAL",
    NotSet: "NOTSET",
  };
  for (const [name, level] of Object.entries(names)) {
    assertEquals(settingsOf([], { KUBE_EVENT_PIPE_LOG_LEVEL: name }).logLevel, level);
  }
  assertEquals(
    refusal([], { KUBE_EVENT_PIPE_LOG_LEVEL: "verbose" }),
    "KUBE_EVENT_PIPE_LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL, " +
      'but is "verbose". Example: INFO.',
  );
});

Deno.test("parseCommandLine() refuses an unknown identity", () => {
  assertEquals(
    refusal(["--identity", "uid"]),
    '--identity must be content or name-count, but is "uid". Example: content.',
  );
});

Deno.test("parseCommandLine() names an unknown flag and the nearest known one", () => {
  assertEquals(
    refusal(["--destnation=/x"]),
    'Unknown flag "--destnation". Did you mean --destination? See kube-event-pipe --help.',
  );
  assertEquals(
    refusal(["--batch_count", "3"]),
    'Unknown flag "--batch_count". Did you mean --batch-count? See kube-event-pipe --help.',
  );
  assertEquals(refusal(["--colour"]), 'Unknown flag "--colour". See kube-event-pipe --help.');
  assertEquals(refusal(["-x"]), 'Unknown flag "-x". See kube-event-pipe --help.');
  assertEquals(
    refusal(["--no-destination=x"]),
    'Unknown flag "--no-destination". Did you mean --destination? See kube-event-pipe --help.',
  );
  assertEquals(
    refusal(["--__proto__=1"]),
    'Unknown flag "--__proto__". See kube-event-pipe --help.',
  );
});

Deno.test("parseCommandLine() refuses a flag without its value", () => {
  for (const args of [["--destination"], ["--destination", "--help"], ["--destination", "-h"]]) {
    assertEquals(
      refusal(args),
      "--destination needs a value: --destination=VALUE. See kube-event-pipe --help.",
    );
  }
});

Deno.test("parseCommandLine() refuses arguments that belong to no flag", () => {
  for (const args of [["out.jsonl"], ["--", "out.jsonl"], ["--batch-count", "3", "out.jsonl"]]) {
    assertEquals(
      refusal(args),
      'Unexpected argument "out.jsonl": without check or status or import in front, kube-event-pipe takes ' +
        "flags only, for example --destination=/var/log/events.jsonl. See kube-event-pipe --help.",
    );
  }
  assert(refusal(["5"]).startsWith('Unexpected argument "5":'));
  assert(refusal(["--_=x"]).startsWith('Unknown flag "--_".'));
  assert(refusal(["0x10"]).startsWith('Unexpected argument "0x10":'));
  assert(refusal(["-"]).startsWith('Unexpected argument "-":'));
});

function commandOf(args: string[], variables: Variables = {}): Command {
  return parseCommandLine(args, (name) => variables[name]);
}

/** Variables of a run, some of which say nothing to the subcommands. */
const RUN_VARIABLES: Variables = {
  KUBE_EVENT_PIPE_DESTINATION: "/var/log/events.jsonl",
  KUBE_EVENT_PIPE_PERSISTENCE_PATH: "/var/lib/pipe",
  KUBE_EVENT_PIPE_IDENTITY: "name-count",
  KUBE_EVENT_PIPE_FILTER_CAPACITY: "many",
  KUBE_EVENT_PIPE_LOG_LEVEL: "loud",
};

Deno.test("parseCommandLine() reads check with its flags, variables and files, which stay as given", () => {
  assertEquals(commandOf(["check"]), {
    kind: "check",
    options: {
      destination: null,
      persistencePath: ".",
      identity: "content",
      files: [],
      json: false,
    },
  });
  assertEquals(commandOf(["check"], RUN_VARIABLES), {
    kind: "check",
    options: {
      destination: "/var/log/events.jsonl",
      persistencePath: "/var/lib/pipe",
      identity: "name-count",
      files: [],
      json: false,
    },
  });
  const options = {
    destination: "-",
    persistencePath: "/p",
    identity: "content" as const,
    files: ["a.gz", "20260101", "0x10", "1e3", "--odd"],
    json: true,
  };
  const flags = ["--destination", "-", "--persistence-path=/p", "--identity", "content", "--json"];
  const files = ["a.gz", "20260101", "", "0x10", "1e3"];
  for (const args of [["check", ...flags, ...files], [...flags, "check", ...files]]) {
    assertEquals(commandOf([...args, "--", "--odd"], RUN_VARIABLES), { kind: "check", options });
  }
});

Deno.test("parseCommandLine() reads status, whatever the variables of a run are", () => {
  assertEquals(commandOf(["status"], RUN_VARIABLES), {
    kind: "status",
    options: { persistencePath: "/var/lib/pipe", json: false },
  });
  assertEquals(commandOf(["--json", "status", "--persistence-path", "/p"]), {
    kind: "status",
    options: { persistencePath: "/p", json: true },
  });
});

Deno.test("parseCommandLine() refuses flags and arguments that a subcommand has no use for", () => {
  assertEquals(
    refusal(["status", "--filter-capacity=1"]),
    "--filter-capacity is no flag of status, which takes --persistence-path, --json. " +
      "See kube-event-pipe --help.",
  );
  assertEquals(
    refusal(["check", "--kubeconfig", "/k"]),
    "--kubeconfig is no flag of check, which takes --destination, --persistence-path, " +
      "--identity, --json. See kube-event-pipe --help.",
  );
  for (const flag of ["--destination=/x", "--identity=content", "--log-level=DEBUG"]) {
    assert(refusal(["status", flag]).includes("is no flag of status"), flag);
  }
  assertEquals(
    refusal(["--json"]),
    "--json is a flag of check, status and import. See kube-event-pipe --help.",
  );
  assertEquals(
    refusal(["status", "events.jsonl"]),
    'Unexpected argument "events.jsonl": status reads the state folder alone ' +
      "(--persistence-path); check takes files. See kube-event-pipe --help.",
  );
  assertEquals(
    refusal(["check", "--jsn"]),
    'Unknown flag "--jsn". Did you mean --json? See kube-event-pipe --help.',
  );
  assert(refusal(["check", "--identity=uid"]).startsWith("--identity must be content or"));
  assert(refusal(["check", "--destination=/dev/null"]).startsWith("--destination must be a file"));
});

Deno.test("parseCommandLine() names the subcommand that is nearest to an unknown one", () => {
  for (const [given, meant] of [["chek", "check"], ["Check", "check"], ["state", "status"]]) {
    assertEquals(
      refusal([given!, "x"]),
      `Unexpected argument "${given}". Did you mean ${meant}? See kube-event-pipe --help.`,
    );
  }
});

Deno.test("parseCommandLine() refuses paths that nobody can open once privileges are dropped", () => {
  for (
    const path of ["/dev/stderr", "/dev/null", "/dev/shm/x", "/proc/1/fd/1", "/sys", "/dev/fd/3"]
  ) {
    assertEquals(
      refusal([`--destination=${path}`]),
      `--destination must be a file, a FIFO or - for stdout, but is "${path}": ` +
        "nothing under /dev, /proc and /sys can be opened once privileges were dropped.",
    );
  }
  assertEquals(
    refusal([], { KUBE_EVENT_PIPE_PERSISTENCE_PATH: "/dev/shm" }),
    'KUBE_EVENT_PIPE_PERSISTENCE_PATH must be a folder that outlives a restart, but is "/dev/shm": ' +
      "nothing under /dev, /proc and /sys can be opened once privileges were dropped.",
  );
});

Deno.test("parseCommandLine() shows a value on one line and cuts a long one", () => {
  const message = refusal(["--batch-count", "a\nb" + "x".repeat(1000)]);
  assert(message.includes(String.raw`"a\nbx`), message);
  assert(message.length < 250 && !message.includes("\n"), message);
});

Deno.test("parseCommandLine() answers --help and --version whatever else is wrong", () => {
  const bad = { KUBE_EVENT_PIPE_BATCH_COUNT: "x" };
  for (const args of [["--help"], ["-h"], ["--nonsense", "--help"], ["x", "-hV"]]) {
    assertEquals(parseCommandLine(args, (name) => bad[name as keyof typeof bad]), { kind: "help" });
  }
  for (const args of [["--version"], ["-V"], ["--nonsense", "-V"]]) {
    assertEquals(parseCommandLine(args, (name) => bad[name as keyof typeof bad]), {
      kind: "version",
    });
  }
});

Deno.test("settingsWarnings() says what a rate of 0.001 or more costs, and is silent below", () => {
  assertEquals(settingsWarnings(settingsOf(["--filter-error-rate=0.0009"])), []);
  assertEquals(settingsWarnings(settingsOf(["--filter-error-rate=0.01"])), [
    "FILTER_ERROR_RATE is 0.01: of a million new events up to 10,000 may be taken for known ones " +
    "and never be written. Unset it for the default of 1e-9, which costs about 6 bytes a key.",
  ]);
});

Deno.test("variableWarnings() names variables that are nearly ours, and no others", () => {
  const ours = GIVEN.map(([flag]) => `KUBE_EVENT_PIPE_${flag.replaceAll("-", "_").toUpperCase()}`);
  assertEquals(variableWarnings(ours), []);
  // For a Service of our name Kubernetes sets these in each pod of the namespace.
  const services = ["SERVICE_HOST", "SERVICE_PORT", "PORT", "SERVICE_PORT_METRICS"]
    .concat(["PORT_8080_TCP", "PORT_8080_TCP_PROTO", "PORT_8080_TCP_PORT", "PORT_8080_TCP_ADDR"]);
  assertEquals(variableWarnings(services.map((name) => `KUBE_EVENT_PIPE_${name}`)), []);
  assertEquals(variableWarnings(["DESTINATION", "KUBE_EVENT_PIPE_"]), []);
  assertEquals(variableWarnings(["KUBE_EVENT_PIPE_DESTINATON", "KUBE_EVENT_PIPE_NAMESPACE"]), [
    "Nobody reads the variable KUBE_EVENT_PIPE_DESTINATON. Did you mean " +
    "KUBE_EVENT_PIPE_DESTINATION?",
    "Nobody reads the variable KUBE_EVENT_PIPE_NAMESPACE. Did you mean KUBE_EVENT_PIPE_NAMESPACES?",
  ]);
});

Deno.test("USAGE names every setting with its default, fits a terminal, and ends with the exit codes", () => {
  for (const [flag] of GIVEN) assert(USAGE.includes(`--${flag} `), flag);
  for (const [text, value] of [["1_000_000", DEFAULTS.filterCapacity], ["3600", 3600]] as const) {
    assert(USAGE.includes(text) && Number(text.replaceAll("_", "")) === value);
  }
  for (const name of ["check", "status", "--json"]) assert(USAGE.includes(` ${name} `), name);
  for (const line of USAGE.split("\n")) assert(line.length <= 100, line);
  for (const code of [0, 1, 64, 65, 69, 70, 74]) assert(USAGE.includes(` ${code} `), String(code));
});

Deno.test("versionText() names our version and those of what we run on", () => {
  assertEquals(
    versionText({ deno: "2.8.3", v8: "14.9" }),
    "kube-event-pipe 0.1.0 (deno 2.8.3, v8 14.9)",
  );
});
