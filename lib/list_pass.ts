/**
 * One complete LIST: all pages of one consistent read, each item put into the batch as it comes.
 *
 * What goes wrong is waited out here, as long as it takes. A page that fails is asked for again
 * with its token; where the token or the page cannot be right (410, another resourceVersion,
 * failures in a row), the LIST is begun anew. The events of the attempt before were put already;
 * main knows them when they come again. The token that a 410 offers is never used: what it
 * continues with is no longer the same read (apiserver storage/etcd3/errors.go).
 *
 * A page names the next one at its beginning, so that one is asked for ahead, over another
 * connection: the server makes it while this one is read. Once a page failed, none is any more: a
 * server in trouble gets one request at a time.
 */

import type { Body } from "./answer_body.ts";
import { ApiFailure } from "./api_failure.ts";
import type { Timer } from "./io.ts";
import { excerpt, FormatError } from "./json_bytes.ts";
import { LIST_BAD_ITEM_TRIES, LIST_PAGE_TRIES } from "./limits.ts";
import { ListItems, type ListMetadata } from "./list_items.ts";
import { Intake, Outage, selectorQuery, Stopped, type WatchContext } from "./watch_context.ts";

/** What a LIST tells while it runs. */
export interface ListHooks {
  /** A first page is about to be asked for: what happens from now on, this LIST may not show. */
  onBegin(): void;
  /** The resourceVersion of the LIST begun last is known. */
  onVersion(listVersion: string): void;
}

/** What a complete LIST showed. */
export interface ListResult {
  items: number;
  pages: number;
  /** From the beginning of the attempt that succeeded. */
  durationMs: number;
}

/** Why a LIST has to be begun anew. */
class BeginAnew extends Error {}

/** See the head of this file. */
export class ListPass {
  readonly #context: WatchContext;
  readonly #hooks: ListHooks;
  readonly #outage: Outage;
  readonly #what: string;
  readonly #intake: Intake;
  /** The page that was asked for ahead. */
  #ahead: AskedPage | null = null;
  #asksAhead = true;
  #isPaged = true;
  #badItems = 0;
  #version: string | null = null;
  #items = 0;

  /** @param outage of all LISTs of the watch, so that its delays go on from one to the next */
  constructor(context: WatchContext, hooks: ListHooks, outage: Outage) {
    this.#context = context;
    this.#hooks = hooks;
    this.#outage = outage;
    this.#what = `LIST ${context.path}`;
    this.#intake = new Intake(context);
  }

  /** Runs until the LIST is complete. @throws Stopped */
  async run(): Promise<ListResult> {
    for (let restarts = 0;;) {
      const beganMs = this.#context.clock.nowMs();
      try {
        const pages = await this.#allPages();
        const durationMs = this.#context.clock.nowMs() - beganMs;
        return { items: this.#items, pages, durationMs };
      } catch (error) {
        if (!(error instanceof BeginAnew)) throw error;
        this.#context.log("INFO", `${this.#what} is begun anew: ${error.message}.`);
        // Pages may never come fast enough for a short history: one answer is one read anyway.
        this.#isPaged = ++restarts < 2;
        if (restarts > 2) await this.#failed(new ApiFailure(error.message));
      } finally {
        this.#forgetAhead();
      }
    }
  }

  async #allPages(): Promise<number> {
    this.#version = null;
    this.#items = 0;
    this.#hooks.onBegin();
    let token = "";
    for (let pages = 1;; pages++) {
      const metadata = await this.#page(token);
      if (metadata.continue === "") return pages;
      if (metadata.continue === token) throw new BeginAnew("a page continues with itself");
      token = metadata.continue;
    }
  }

  /** One page, however often it takes. @throws BeginAnew, Stopped */
  async #page(token: string): Promise<ListMetadata> {
    for (let failures = 0;;) {
      const page = this.#asked(token);
      let failure: ApiFailure;
      try {
        const metadata = await this.#read(page);
        this.#outage.worked(this.#what);
        return metadata;
      } catch (error) {
        if (this.#context.stop.aborted) throw new Stopped();
        if (error instanceof ApiFailure) failure = error;
        else if (error instanceof FormatError) failure = new ApiFailure(error.message);
        else throw error;
      } finally {
        page.close();
      }
      this.#asksAhead = false;
      this.#forgetAhead();
      const isAboutToken = failure.status === 410 || failure.status === 400;
      if (token !== "" && isAboutToken) throw new BeginAnew(failure.message);
      // A server gives up on a reader that is slow, as we are while the destination is blocked.
      const heldMs = this.#intake.heldMs - page.heldMs;
      const isOurFault = failure.status === 0 && heldMs >= this.#context.times.listSilenceMs;
      if (!isOurFault) await this.#failed(failure);
      if (!isOurFault && !isPatient(failure)) failures++;
      if (token !== "" && failures >= LIST_PAGE_TRIES) throw new BeginAnew("a page kept failing");
      // A first page asked for again is another LIST.
      if (token === "") this.#restart();
    }
  }

  #restart(): void {
    this.#version = null;
    this.#items = 0;
    this.#hooks.onBegin();
  }

  #failed(failure: ApiFailure): Promise<void> {
    return this.#outage.failed(this.#what, failure);
  }

  /** The page, asked for now unless that was done ahead, a short while ago. */
  #asked(token: string): AskedPage {
    const ahead = this.#ahead;
    if (ahead?.token === token && ahead.ageMs <= this.#context.times.listAheadMs) {
      this.#ahead = null;
      return ahead;
    }
    this.#forgetAhead();
    return this.#ask(token);
  }

  #ask(token: string): AskedPage {
    return new AskedPage(this.#context, token, this.#isPaged, this.#intake.heldMs);
  }

  /** Asks for the page behind the one of `token`, once. */
  #askAhead(token: string, next: string): void {
    if (!this.#asksAhead || next === "" || next === token) return;
    this.#ahead ??= this.#ask(next);
  }

  #forgetAhead(): void {
    this.#ahead?.close();
    this.#ahead = null;
  }

  /** Reads a page to its end. @throws ApiFailure, FormatError, BeginAnew; the abort's reason */
  async #read({ token, body: asked, controller }: AskedPage): Promise<ListMetadata> {
    const { writer, position, identity, times, pulse } = this.#context;
    const intake = this.#intake;
    const body = await asked;
    this.#context.onConnected();
    const items = new ListItems(
      times.lineBytesMax,
      (bytes, start) => intake.scan.scanFirst(bytes, start, identity),
    );
    const pace = new Pace(this.#context, controller);
    try {
      for (;;) {
        while (items.next()) {
          if (!this.#scan(items)) continue;
          // Another reader that waited may have been faster: until it is true without a wait.
          while (!writer.isReady(intake.scan.lineLength)) await intake.room();
          intake.put();
          position.meetListed(intake.scan.version);
          this.#items++;
        }
        if (items.resourceVersion !== null) this.#meetVersion(items.resourceVersion);
        if (items.continue !== null) this.#askAhead(token, items.continue);
        writer.offer();
        const bytes = await pace.during(body.read(items.room()));
        if (bytes === null) return items.finish();
        pulse.listRead(bytes.length);
        items.fill(bytes);
      }
    } finally {
      pace.end();
    }
  }

  /** Scans an item; false where it is no event and was left out. @throws ApiFailure */
  #scan(items: ListItems): boolean {
    const { identity, log, times } = this.#context;
    const intake = this.#intake;
    const { bytes, start, end, tooLong, isScanned } = items;
    const reason = tooLong !== null
      ? `longer than ${times.lineBytesMax} bytes`
      : isScanned
      ? null
      : intake.scan.scan(bytes, start, end, identity);
    if (reason === null) {
      intake.other?.scan(bytes, start, end, intake.otherIdentity);
      return true;
    }
    const text = `an item is no event (${reason}): ${tooLong ?? excerpt(bytes, start, end)}`;
    // Bytes may have suffered on their way. An object that stays like this must not keep the
    // others from being listed for ever.
    if (this.#badItems++ < LIST_BAD_ITEM_TRIES) throw new ApiFailure(text);
    log("ERROR", `${this.#what}: ${text}. It is left out.`);
    return false;
  }

  #meetVersion(version: string): void {
    if (this.#version === null) {
      this.#version = version;
      this.#hooks.onVersion(version);
    } else if (this.#version !== version) {
      throw new BeginAnew(`a page is of ${version}, the first one of ${this.#version}`);
    }
  }
}

/** A page on its way, to be read when the one before it was. */
class AskedPage {
  readonly token: string;
  /** What the intake had been held when it was asked for, ms. */
  readonly heldMs: number;
  readonly controller = new AbortController();
  readonly body: Promise<Body>;
  readonly #context: WatchContext;
  readonly #askedMs: number;
  readonly #end = () => this.controller.abort(new Stopped());

  constructor(context: WatchContext, token: string, isPaged: boolean, heldMs: number) {
    const { client, clock, path, times, stop } = context;
    this.token = token;
    this.heldMs = heldMs;
    this.#context = context;
    this.#askedMs = clock.nowMs();
    stop.addEventListener("abort", this.#end);
    const query = selectorQuery(context);
    // No resourceVersion: with a limit it would mean "exactly this one" (apiserver
    // storage/interfaces.go), and 0 may be stale.
    if (isPaged) query.set("limit", `${times.listPageEvents}`);
    if (token !== "") query.set("continue", token);
    this.body = client.open(path, query, this.controller);
    // Why it failed is asked when it is its turn.
    this.body.catch(() => {});
  }

  /** Since it was asked for, ms. */
  get ageMs(): number {
    return this.#context.clock.nowMs() - this.#askedMs;
  }

  /** Nothing more of it is wanted. */
  close(): void {
    this.#context.stop.removeEventListener("abort", this.#end);
    this.#end();
  }
}

/**
 * Sees that a page comes fast enough. The time in which we do not read does not count. It is looked
 * at ten times in the time that is given: a timer for each read costs as much as some events.
 */
class Pace {
  readonly #context: WatchContext;
  readonly #controller: AbortController;
  readonly #timer: Timer;
  /** What was left at the end of the last read of the time in which enough must come. */
  #leftMs: number;
  /** When the read that is under way began. */
  #sinceMs: number | null = null;
  #bytes = 0;

  constructor(context: WatchContext, controller: AbortController) {
    const { listSilenceMs } = context.times;
    this.#context = context;
    this.#controller = controller;
    this.#leftMs = listSilenceMs;
    this.#timer = setInterval(() => this.#look(), listSilenceMs / 10);
  }

  /** The result of a read, which is aborted where too little came for too long. */
  async during(read: ReturnType<Body["read"]>): ReturnType<Body["read"]> {
    const { listSilenceMs, listSilenceBytes } = this.#context.times;
    this.#sinceMs = this.#context.clock.nowMs();
    try {
      const bytes = await read;
      this.#bytes += bytes?.length ?? 0;
      return bytes;
    } finally {
      const isFast = this.#bytes >= listSilenceBytes;
      if (isFast) this.#bytes = 0;
      this.#leftMs = isFast ? listSilenceMs : this.#waitMs;
      this.#sinceMs = null;
    }
  }

  /** No more reads. */
  end(): void {
    clearInterval(this.#timer);
  }

  /** How long more bytes may be waited for. */
  get #waitMs(): number {
    const waitedMs = this.#sinceMs === null ? 0 : this.#context.clock.nowMs() - this.#sinceMs;
    return this.#leftMs - waitedMs;
  }

  #look(): void {
    if (this.#sinceMs === null || this.#waitMs > 0) return;
    const { listSilenceMs, listSilenceBytes } = this.#context.times;
    const text = `less than ${listSilenceBytes} byte(s) came in ${listSilenceMs / 1000} s`;
    this.#controller.abort(new ApiFailure(text));
  }
}

/** A failure that passes without the page being at fault. */
function isPatient({ status }: ApiFailure): boolean {
  return status === 401 || status === 403 || status === 429;
}
