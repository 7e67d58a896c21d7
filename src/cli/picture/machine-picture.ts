/**
 * What is drawn of a machine, as plain data: its partitions, their GPA spaces and the accounts of their pools. Made
 * from an inspection (from-inspection.ts) or from a trace (from-trace.ts); drawn as text, SVG or HTML. Whatever it
 * holds may come from a guest: who draws it escapes it.
 */

export interface GpaRun {
  gpn: number;
  pages: number;
  spn: number;
  /** 'RWX', 'RW', 'RX', 'R' or 'none': inaccessible. */
  rights: string;
  /** Served by 2 MiB mappings. */
  large: boolean;
}

export interface OverlayMark {
  kind: string;
  /** -1: the partition's as a whole. */
  vp: number;
  gpn: number;
  rights: string;
}

/** Equal movements in a row are one: `pages` together, with the balance after the last. */
export interface PoolMovement {
  action: string;
  cause: string;
  pages: number;
  free: number;
  inUse: number;
}

export interface PoolPicture {
  free: number;
  inUse: number;
  /** Pages in use by cause. */
  causes: Map<string, number>;
  /** Everything that moved so far: by action and cause. */
  totals: { action: string; cause: string; pages: number }[];
  /** In their order; empty where only the totals are known. */
  history: PoolMovement[];
}

export interface PartitionPicture {
  id: number;
  parent: number | undefined;
  state: string;
  /** In ascending order. */
  runs: GpaRun[];
  overlays: OverlayMark[];
  pool: PoolPicture;
  processors: string[];
}

export interface NodePicture {
  id: number;
  firstPage: number;
  pages: number;
}

export interface MachinePicture {
  title: string;
  nodes: NodePicture[];
  partitions: PartitionPicture[];
}

export function emptyPool(): PoolPicture {
  return { free: 0, inUse: 0, causes: new Map(), totals: [], history: [] };
}

/** A partition and how deep it lies in the tree, parents before their children. */
export function partitionTree(
  partitions: readonly PartitionPicture[],
): { partition: PartitionPicture; depth: number }[] {
  const known = new Set(partitions.map(({ id }) => id));
  const listed: { partition: PartitionPicture; depth: number }[] = [];
  const visit = (partition: PartitionPicture, depth: number): void => {
    // A parent that is its own descendant is nonsense in the data; each partition is listed once.
    if (listed.some((each) => each.partition === partition)) return;
    listed.push({ partition, depth });
    for (const child of partitions) if (child.parent === partition.id) visit(child, depth + 1);
  };
  for (const each of partitions) if (each.parent === undefined || !known.has(each.parent)) visit(each, 0);
  return listed;
}

export function nodeOfPage(nodes: readonly NodePicture[], spn: number): NodePicture | undefined {
  return nodes.find(({ firstPage, pages }) => spn >= firstPage && spn < firstPage + pages);
}

export function mappedPages(partition: PartitionPicture): number {
  return partition.runs.reduce((sum, run) => sum + run.pages, 0);
}

const PAGES_PER_MIB = 256;

/** '256 MiB', '12 KiB'. */
export function sizeText(pages: number): string {
  if (pages % PAGES_PER_MIB === 0 || pages >= 10 * PAGES_PER_MIB)
    return `${trimmed(pages / PAGES_PER_MIB)} MiB`;
  return `${pages * 4} KiB`;
}

function trimmed(value: number): string {
  return String(Number(value.toFixed(1)));
}

export function addressText(gpn: number): string {
  return `0x${(gpn * 4096).toString(16).padStart(8, '0')}`;
}

export function overlayOwner({ vp }: OverlayMark): string {
  return vp < 0 ? '' : ` of VP ${vp}`;
}
