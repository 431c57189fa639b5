/** The texts of --help and --version. */

import { VERSION } from "./version.ts";

/** What --version prints: our version, then those of what we run on. */
export function versionText(runtime: { deno: string; v8: string }): string {
  return `kube-event-pipe ${VERSION} (deno ${runtime.deno}, v8 ${runtime.v8})`;
}

/** What --help prints. */
export const USAGE = `\
kube-event-pipe ${VERSION}: every event of a Kubernetes cluster, once, as one line of JSON.

Usage: kube-event-pipe [--flag VALUE]...
       kube-event-pipe check [--flag VALUE]... [FILE]...  is each line there once, and whole?
       kube-event-pipe status [--flag VALUE]...           what does the state folder say?
       kube-event-pipe import [--flag VALUE]... FILE...   take these lines for written
Each flag marked * is also a variable: --batch-count is KUBE_EVENT_PIPE_BATCH_COUNT. A flag beats
its variable; an empty one counts as not given; 1_000_000 is a number.

Output
  --destination PATH *       - (stdout). A file is appended to, and made with mode 0640 where there
                             is none; its folder is not made. In a file each event is once, whatever
                             crashes; a FIFO or stdout may get a line twice after kill -9.
  --sync-interval-ms N *     100. Between two syncs of the destination. Longer spares the disk;
                             power loss then has more lines written again, none lost.
  --managed-fields MODE *    keep. drop leaves out metadata.managedFields, about a third of a line.
  --wrap NAME *              None. Each line is {"NAME":{...}} with the event in it.
  --cluster NAME *           None. With --wrap: {"NAME":{...},"cluster":"..."}, for many clusters in
                             one place. All three may change from start to start: no event repeats.
  --log-level LEVEL *        INFO. DEBUG (a line for each event), INFO, WARNING, ERROR or CRITICAL,
                             to stderr.

Memory of what was written
  --persistence-path DIR *   . (here). Must exist and outlive restarts: without what is in it, all
                             that the server still holds is written again. One process a folder.
  --filter-capacity N *      1_000_000. Events that a generation (a .bloom file) holds, at about 6
                             bytes each on disk and in memory. A full one is followed by another.
  --batch-duration-sec N *   3600. A new event closes a generation that is older than this.
  --batch-count N *          3. Generations kept; longer while the server can still show their
                             events.
  --filter-error-rate R *    1e-9. Chance that a new event is taken for a known one and NOT written,
                             of the whole ring (the Python tool's was of each of its filters). Ten
                             times lower costs about 0.7 bytes a key; from 0.001 on it warns.
  --identity MODE *          content: a changed count, time or message is a new event.
                             name-count: the Python tool's key, which takes events of equal name
                             and count for one, also in different namespaces.
  --standby *                Wait for the end of another instance with this state or destination,
                             and take over, instead of failing with 65. (A variable: true or false.)

Cluster
  --kubeconfig FILE          Read this alone. Otherwise KUBECONFIG (files separated by ":"), then
                             ~/.kube/config, then the service account of the pod we run in.
  --context NAME             The kubeconfig's current-context.
  --namespaces NAME,... *    All. Watch these alone, with list and watch on events in each.
  --field-selector TERM,... *  All events. The server shows those alone that match, for example
                             type!=Normal or involvedObject.kind=Pod.
  --start-timeout-sec N *    0 (try for ever). Exit with 69 where no API server let us in by then.
                             HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY are obeyed.

Observing (docs/METRICS.md)
  --metrics-address HOST:PORT *  Off. Serve /metrics (Prometheus), /healthz and /readyz there, for
                             example at 127.0.0.1:9090 or [::1]:9090. No TLS, no authentication.
  --unhealthy-after N *      120. Seconds that commits, a blocked destination or a watch without a
                             sign of life may stand still before /healthz answers 503 and why.

check and status: write nothing and take no lock, so they also work beside a running instance
  check                      Reads the destination, the FILEs rotated out of it (plain or gzip) and
                             the state; says which occurrences repeat, which lines are torn and
                             what is damaged. Takes --destination (where it is not given: the file
                             that the checkpoint names), --persistence-path, --identity and --json.
                             Needs 24 to 48 bytes of memory a line.
  status                     The state alone, in about ten lines. Takes --persistence-path, --json.
  --json                     One JSON object in place of the text; also of import.

import: before the first start in place of another program (docs/MIGRATE.md), or after the state was
lost; with the state folder and the flags under "Memory of what was written" of the run that follows
  import FILE...             Reads lines of this program or another one (plain or gzip; the Event
                             itself or in a wrapper) into the memory, so that their events are not
                             written again. Reads and writes no destination. Tells the lines that
                             it does not understand, and exits with 1 where there are any.

  -h, --help                 This text.
  -V, --version              Version.

Signals: HUP reopens the destination at once (log rotation); TERM, INT and QUIT finish what is under
way and exit with 0.
Exit status: 0 stopped, or all is well; 1 check or status found something that is not, or import did
not understand a line; 64 wrong flag, variable or kubeconfig (do not restart); 65 state or
destination in use or unusable; 69 no cluster configuration or no API server; 70 a bug, please
report it; 74 a read, write or sync failed.`;
