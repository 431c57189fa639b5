/** A program as it is seen through its --metrics-address. */

import type { Program } from "./program.ts";
import { until } from "./temp.ts";

/** Any free port of this machine alone. */
export const OBSERVED = ["--metrics-address", "127.0.0.1:0"];

/** An answer that takes longer, ms, does not come any more. */
const PAGE_MS = 20_000;

/** The status and the text of a page. */
export interface Page {
  status: number;
  text: string;
}

/** See the head of this file. */
export class Observed {
  private constructor(readonly url: string) {}

  /** That of a program, as soon as its log says where. */
  static async of(program: Program): Promise<Observed> {
    await program.says("/healthz and /readyz there");
    const [, url] = /Metrics at (\S+)\/metrics;/.exec(program.stderr) ?? [];
    const observed = new Observed(url!);
    await observed.becomes("/metrics", 200); // While the state is read it has none.
    return observed;
  }

  /** A page, such as `/healthz`. */
  async page(path: string): Promise<Page> {
    const response = await fetch(this.url + path, { signal: AbortSignal.timeout(PAGE_MS) });
    return { status: response.status, text: (await response.text()).trimEnd() };
  }

  /** Waits until a page has this status; returns its text. */
  async becomes(path: string, status: number, timeoutMs = 30_000): Promise<string> {
    let page: Page = { status: 0, text: "" };
    const arrives = async () => (page = await this.page(path)).status === status;
    await until(`${path} has the status ${status}`, arrives, timeoutMs);
    return page.text;
  }

  /** Waits until a page says so, whatever it says before; returns all of its text. */
  async says(path: string, part: string, timeoutMs = 30_000): Promise<string> {
    let page: Page = { status: 0, text: "" };
    const isSaid = async () => (page = await this.page(path)).text.includes(part);
    await until(`${path} says ${JSON.stringify(part)}`, isSaid, timeoutMs);
    if (page.status !== 503) throw new Error(`${path} says so with the status ${page.status}`);
    return page.text;
  }

  /** Every series with its value, such as `name{reason="cut"}`. */
  async series(): Promise<Map<string, number>> {
    const { text } = await this.page("/metrics");
    const samples = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(samples.map((line): [string, number] => {
      const at = line.lastIndexOf(" ");
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }));
  }

  /** The value of one of ours, its name without `kube_event_pipe_`. */
  async value(name: string): Promise<number> {
    const value = (await this.series()).get(`kube_event_pipe_${name}`);
    if (value === undefined) throw new Error(`There is no ${name}`);
    return value;
  }

  /** Waits until a value is so. */
  async reaches(
    name: string,
    isSo: (value: number) => boolean,
    timeoutMs = 30_000,
  ): Promise<void> {
    let value = NaN;
    try {
      await until(`${name}: ${isSo}`, async () => isSo(value = await this.value(name)), timeoutMs);
    } catch (error) {
      throw new Error(`${(error as Error).message}; it is ${value}`);
    }
  }
}
