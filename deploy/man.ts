/**
 * The man page: deploy/man/kube-event-pipe.1 with the texts of --help in it, so that the two cannot
 * say different things. `deno run deploy/man.ts` prints it.
 */

import { USAGE } from "../lib/usage.ts";
import { VERSION } from "../lib/version.ts";

const TEMPLATE = new URL("man/kube-event-pipe.1", import.meta.url);

/** A line of --help that begins with a flag or subcommand; its text begins two spaces behind it. */
const ENTRY = /^ {2}(\S.*?)(?: {2,}(.*))?$/;
/** A line that goes on with the text of an entry. */
const FURTHER = /^ {4,}(\S.*)$/;

/**
 * The man page as roff.
 *
 * @throws Error where --help has a form that this does not know
 */
export function manPage(): string {
  const [, ...parts] = USAGE.trimEnd().split("\n\n"); // The first is the title.
  const [signals = "", status = ""] = (parts.pop() ?? "").split("\nExit status: ");
  if (!signals.startsWith("Signals: ")) {
    throw new Error(`No signals at the end of --help: ${signals}`);
  }
  const [usage = "", ...sections] = parts;
  const texts: Record<string, string> = {
    VERSION: escaped(VERSION),
    OPTIONS: [aboutFlags(usage), ...sections.map(sectionOf)].join("\n"),
    SIGNALS: paragraph(signals.slice("Signals: ".length)),
    STATUS: statusOf(paragraph(status)),
  };
  return Deno.readTextFileSync(TEMPLATE).replace(/@([A-Z]+)@/g, (_, name: string) => {
    const text = texts[name];
    if (text === undefined) throw new Error(`Nothing to put in the place of @${name}@`);
    return text;
  });
}

/** What is said of flags in general, behind the lines of "Usage:". */
function aboutFlags(usage: string): string {
  const start = usage.indexOf("\nEach flag");
  if (start < 0) throw new Error(`No "Each flag" in the usage of --help: ${usage}`);
  return paragraph(usage.slice(start + 1));
}

/** A heading with entries, or entries alone. */
function sectionOf(section: string): string {
  const roff: string[] = [];
  for (const line of section.split("\n")) {
    const [, further] = FURTHER.exec(line) ?? [];
    const [, name, text] = ENTRY.exec(line) ?? [];
    if (further !== undefined) roff.push(escaped(further));
    else if (name !== undefined) roff.push(".TP", entryName(name), ...text ? [escaped(text)] : []);
    else roff.push(`.SS ${escaped(line)}`);
  }
  if (!roff[0]?.startsWith(".SS")) roff.unshift(".SS Others");
  return roff.join("\n");
}

/** Flags and subcommands are bold, what stands for a value is not. */
function entryName(name: string): string {
  return escaped(name).replace(/(\\-[\w\\-]+|^[a-z]+)/g, "\\fB$1\\fR");
}

/** "0 stopped; 1 ..." as a list. */
function statusOf(text: string): string {
  const entries = text.replace(/\.$/, "").split(/; (?=\d)/);
  return entries.map((entry) => {
    const [code, ...words] = entry.split(" ");
    return `.TP\n.B ${code}\n${words.join(" ")}`;
  }).join("\n");
}

function paragraph(text: string): string {
  return escaped(text.replaceAll("\n", " "));
}

/** Text as roff: "-" would become a hyphen, which nobody can copy; "." and "'" begin requests. */
function escaped(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replace(/^(?=[.'])/gm, "\\&");
}

if (import.meta.main) console.log(manPage().trimEnd());
