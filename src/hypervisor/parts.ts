/**
 * Typed places where other concepts keep their state in a partition or a virtual processor: ports, SynIC,
 * timers, intercepts. A concept declares its key once, with how to create its state; the owner then holds it
 * without knowing it. State that nobody has asked for does not exist.
 */

/** What a part may do when its owner goes, and what it shows of itself. */
export interface Part {
  /** Releases what it drew from pools; called once, at finalization of the partition or deletion of the VP. */
  release?(): void;
  /** Plain data for `partita inspect` and for tests. */
  inspect?(): unknown;
}

export interface PartKey<Owner, T extends Part> {
  readonly name: string;
  readonly create: (owner: Owner) => T;
}

export function partKey<Owner, T extends Part>(name: string, create: (owner: Owner) => T): PartKey<Owner, T> {
  return { name, create };
}

export class Parts<Owner> {
  readonly #owner: Owner;
  readonly #parts = new Map<PartKey<Owner, Part>, Part>();

  constructor(owner: Owner) {
    this.#owner = owner;
  }

  /** The part under `key`, created at first use. */
  get<T extends Part>(key: PartKey<Owner, T>): T {
    const present = this.#parts.get(key) as T | undefined;
    if (present !== undefined) return present;
    const created = key.create(this.#owner);
    this.#parts.set(key, created);
    return created;
  }

  /** The part under `key` if something has created it. */
  peek<T extends Part>(key: PartKey<Owner, T>): T | undefined {
    return this.#parts.get(key) as T | undefined;
  }

  /** Releases every part, the youngest first. */
  release(): void {
    for (const part of [...this.#parts.values()].reverse()) part.release?.();
    this.#parts.clear();
  }

  inspect(): Record<string, unknown> {
    const shown: Record<string, unknown> = {};
    for (const [key, part] of this.#parts) if (part.inspect !== undefined) shown[key.name] = part.inspect();
    return shown;
  }
}
