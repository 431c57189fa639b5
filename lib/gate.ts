/** A gate that can be held shut, so that nothing is appended meanwhile. */
export class Gate {
  #held: PromiseWithResolvers<void> | null = null;

  /** Whether it is shut. */
  get isHeld(): boolean {
    return this.#held !== null;
  }

  /** Shuts it. */
  hold(): void {
    this.#held ??= Promise.withResolvers();
  }

  /** Opens it. */
  release(): void {
    this.#held?.resolve();
    this.#held = null;
  }

  /** Settles when it is opened, or when `signal` is raised. */
  async opened(signal: AbortSignal): Promise<void> {
    const raised = Promise.withResolvers<void>();
    const raise = () => raised.resolve();
    if (signal.aborted) raise();
    signal.addEventListener("abort", raise);
    await Promise.race([this.#held?.promise, raised.promise]);
    signal.removeEventListener("abort", raise);
  }
}
