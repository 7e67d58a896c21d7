/**
 * The picture of a machine out of its trace: mappings, overlays, pools and partitions are followed from line to line.
 * It shows the state at the end of the trace; a partition that was finalized shows as it was before that. Lines that are no
 * JSON objects, a torn last one say, are counted and skipped.
 *
 * The root's map is the identity and no event tells of it: only its overlays are drawn. The trace doesn't say where large mappings are: shown are those that the hypervisor would make (2 MiB aligned on
 * both sides, with equal rights).
 */
import {
  emptyPool,
  type GpaRun,
  type MachinePicture,
  type OverlayMark,
  type PartitionPicture,
  type PoolMovement,
} from './machine-picture.ts';

const LARGE = 512;
/** A trace may ask for more than memory holds; what is beyond is left out of the drawing. */
const MOST_PARTITIONS = 256;
const MOST_MOVEMENTS = 20_000;

interface Followed {
  picture: PartitionPicture;
  overlays: Map<string, OverlayMark>;
  processors: Map<number, string>;
  /** Finalization began: only the history goes on. */
  isOver: boolean;
}

export class TraceFollower {
  readonly #partitions = new Map<number, Followed>();
  skipped = 0;

  /** Takes one line of the trace. */
  line(line: string): void {
    if (line === '') return;
    try {
      const event: unknown = JSON.parse(line);
      if (typeof event !== 'object' || event === null) this.skipped++;
      else this.#follow(event as Readonly<Record<string, unknown>>);
    } catch {
      this.skipped++;
    }
  }

  picture(title: string): MachinePicture {
    const partitions = [...this.#partitions.values()].map(({ picture, overlays, processors }) => ({
      ...picture,
      runs: joined(picture.runs).flatMap(splitLarge),
      overlays: [...overlays.values()].sort((a, b) => a.gpn - b.gpn),
      processors: [...processors].map(([index, state]) => `VP ${index} ${state}`),
    }));
    return { title, nodes: [], partitions: partitions.sort((a, b) => a.id - b.id) };
  }

  #follow(event: Readonly<Record<string, unknown>>): void {
    const { kind } = event;
    const number = (name: string): number => (typeof event[name] === 'number' ? (event[name] as number) : 0);
    const text = (name: string): string => String(event[name] ?? '');
    if (!['partition', 'mapping', 'overlay', 'pool', 'virtual-processor'].includes(String(kind))) return;
    const followed = this.#partition(number('partition'));
    if (followed === undefined) return;
    const { picture } = followed;
    if (kind === 'partition') {
      picture.state = text('state');
      followed.isOver ||= picture.state === 'finalizing' || picture.state === 'deleted';
      picture.parent = number('parent') === 0 ? undefined : number('parent');
    } else if (kind !== 'pool' && followed.isOver) {
      // Taken apart: what there was stays in the picture.
    } else if (kind === 'mapping') {
      const run = {
        gpn: number('gpn'),
        pages: number('pages'),
        spn: number('spn'),
        rights: text('rights'),
        large: false,
      };
      picture.runs = replaced(picture.runs, run, run.rights !== 'unmapped');
    } else if (kind === 'overlay') {
      const mark = { kind: text('overlay'), vp: number('vp'), gpn: number('gpn'), rights: '' };
      if (event.enabled === true) followed.overlays.set(`${mark.kind}/${mark.vp}`, mark);
      else followed.overlays.delete(`${mark.kind}/${mark.vp}`);
    } else if (kind === 'virtual-processor') followed.processors.set(number('vp'), text('state'));
    else {
      const movement = { action: text('action'), cause: text('cause'), pages: number('pages') };
      move(picture, { ...movement, free: number('free'), inUse: number('inUse') }, followed.isOver);
    }
  }

  #partition(id: number): Followed | undefined {
    const known = this.#partitions.get(id);
    if (known !== undefined || this.#partitions.size >= MOST_PARTITIONS) return known;
    const picture: PartitionPicture = {
      id,
      parent: undefined,
      state: 'active',
      runs: [],
      overlays: [],
      pool: emptyPool(),
      processors: [],
    };
    const followed = { picture, overlays: new Map(), processors: new Map(), isOver: false };
    this.#partitions.set(id, followed);
    return followed;
  }
}

function move({ pool }: PartitionPicture, movement: PoolMovement, isOver: boolean): void {
  const { action, cause, pages, free, inUse } = movement;
  if (!isOver) {
    pool.free = free;
    pool.inUse = inUse;
    const change = action === 'draw' ? pages : action === 'release' ? -pages : 0;
    const left = (pool.causes.get(cause) ?? 0) + change;
    if (left > 0) pool.causes.set(cause, left);
    else pool.causes.delete(cause);
  }
  const total = pool.totals.find((each) => each.action === action && each.cause === cause);
  if (total === undefined) pool.totals.push({ action, cause, pages });
  else total.pages += pages;
  const last = pool.history.at(-1);
  if (last !== undefined && last.action === action && last.cause === cause) {
    Object.assign(last, { pages: last.pages + pages, free, inUse });
  } else if (pool.history.length < MOST_MOVEMENTS) pool.history.push(movement);
}

/** The runs with `run` in place of what it covers; merely taken away where it isn't `present`. */
function replaced(runs: readonly GpaRun[], run: GpaRun, present: boolean): GpaRun[] {
  const end = run.gpn + run.pages;
  const rest = runs.flatMap((each) => {
    const last = each.gpn + each.pages;
    if (last <= run.gpn || each.gpn >= end) return [each];
    const before = { ...each, pages: run.gpn - each.gpn };
    const after = { ...each, gpn: end, spn: each.spn + end - each.gpn, pages: last - end };
    return [before, after].filter(({ pages }) => pages > 0);
  });
  if (present && run.pages > 0) rest.push(run);
  return joined(rest.sort((a, b) => a.gpn - b.gpn));
}

function joined(runs: readonly GpaRun[]): GpaRun[] {
  const result: GpaRun[] = [];
  for (const run of runs) {
    const last = result.at(-1);
    const continues =
      last !== undefined &&
      last.gpn + last.pages === run.gpn &&
      last.spn + last.pages === run.spn &&
      last.rights === run.rights;
    if (continues) last.pages += run.pages;
    else result.push({ ...run });
  }
  return result;
}

function splitLarge(run: GpaRun): GpaRun[] {
  if (run.rights === 'none' || run.gpn % LARGE !== run.spn % LARGE) return [run];
  const end = run.gpn + run.pages;
  const first = Math.ceil(run.gpn / LARGE) * LARGE;
  const last = Math.floor(end / LARGE) * LARGE;
  if (first >= last) return [run];
  const piece = (from: number, to: number, large: boolean): GpaRun => {
    return { gpn: from, pages: to - from, spn: run.spn + from - run.gpn, rights: run.rights, large };
  };
  return [piece(run.gpn, first, false), piece(first, last, true), piece(last, end, false)].filter(
    ({ pages }) => pages > 0,
  );
}
