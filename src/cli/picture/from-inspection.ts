/** The picture of a running machine, out of what `partita inspect --json` prints. What is missing is left out. */
import { emptyPool, type MachinePicture, type PartitionPicture } from './machine-picture.ts';

type Plain = Record<string, unknown>;

export function pictureOfInspection(document: unknown): MachinePicture {
  const root = record(document);
  const hypervisor = record(record(root.machine ?? root).hypervisor);
  return {
    title: `${fileName(text(root.kernel))}, process ${number(root.process)}`,
    nodes: list(hypervisor.proximity).map((node) => ({
      id: number(node.id),
      firstPage: number(node.firstPage),
      pages: number(node.pages),
    })),
    partitions: list(hypervisor.partitions).map(partitionOf),
  };
}

function partitionOf(partition: Plain): PartitionPicture {
  const pool = record(partition.pool);
  return {
    id: number(partition.id),
    parent: partition.parent === undefined ? undefined : number(partition.parent),
    state: text(partition.state),
    runs: list(partition.gpaMap).map((run) => ({
      gpn: number(run.gpa) / 4096,
      pages: number(run.pages),
      spn: number(run.spn),
      rights: text(run.rights),
      large: run.large === true,
    })),
    overlays: list(partition.overlays).map((overlay) => ({
      kind: text(overlay.kind),
      vp: number(overlay.vp),
      gpn: number(overlay.gpa) / 4096,
      rights: text(overlay.rights),
    })),
    pool: {
      ...emptyPool(),
      free: number(pool.free),
      inUse: number(pool.inUse),
      causes: new Map(Object.entries(record(pool.causes)).map(([cause, pages]) => [cause, number(pages)])),
      totals: list(pool.totals).map(({ action, cause, pages }) => {
        return { action: text(action), cause: text(cause), pages: number(pages) };
      }),
    },
    processors: list(partition.virtualProcessors).map(
      ({ index, state }) => `VP ${number(index)} ${text(state)}`,
    ),
  };
}

/** What of a path tells machines apart, cut where it would leave the picture. */
function fileName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1).slice(0, 64);
}

function record(value: unknown): Plain {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Plain) : {};
}

function list(value: unknown): Plain[] {
  return Array.isArray(value) ? value.map(record) : [];
}

function number(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}

function text(value: unknown): string {
  return value === undefined || value === null ? '' : String(value);
}
