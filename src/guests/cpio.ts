/**
 * Writes a cpio archive in the "newc" format, the one Linux unpacks as its initial root
 * (Documentation/driver-api/early-userspace/buffer-format in the kernel's sources). Every header field is eight
 * hexadecimal digits; names and contents are padded to four bytes. Times are zero, so that the same content
 * gives the same bytes.
 */

/** File types of st_mode. */
const TYPE = {
  fifo: 0o010000,
  character: 0o020000,
  directory: 0o040000,
  file: 0o100000,
  link: 0o120000,
} as const;

export type CpioEntry =
  | { kind: 'directory'; path: string; mode?: number }
  | { kind: 'file'; path: string; data: Uint8Array | string; mode?: number }
  | { kind: 'link'; path: string; target: string }
  | { kind: 'character'; path: string; major: number; minor: number; mode?: number };

/** The archive of `entries` in their order; folders that no entry names are added before their contents. */
export function writeCpio(entries: readonly CpioEntry[]): Buffer {
  const chunks: Buffer[] = [];
  const known = new Set<string>(['']);
  let inode = 1;

  const add = (entry: CpioEntry): void => {
    chunks.push(header(entry, inode++), content(entry));
  };
  const addParents = (path: string): void => {
    const cut = path.lastIndexOf('/');
    const parent = cut < 0 ? '' : path.slice(0, cut);
    if (known.has(parent)) return;
    addParents(parent);
    known.add(parent);
    add({ kind: 'directory', path: parent });
  };

  for (const entry of entries) {
    addParents(entry.path);
    if (entry.kind === 'directory' && known.has(entry.path)) continue;
    if (entry.kind === 'directory') known.add(entry.path);
    add(entry);
  }
  chunks.push(record('TRAILER!!!', { inode: 0, mode: 0, size: 0, major: 0, minor: 0 }));
  return Buffer.concat(chunks);
}

function header(entry: CpioEntry, inode: number): Buffer {
  const device = entry.kind === 'character' ? entry : { major: 0, minor: 0 };
  return record(entry.path, {
    inode,
    mode: modeOf(entry),
    size: rawContent(entry).length,
    major: device.major,
    minor: device.minor,
  });
}

function modeOf(entry: CpioEntry): number {
  switch (entry.kind) {
    case 'directory':
      return TYPE.directory | (entry.mode ?? 0o755);
    case 'file':
      return TYPE.file | (entry.mode ?? 0o644);
    case 'link':
      return TYPE.link | 0o777;
    case 'character':
      return TYPE.character | (entry.mode ?? 0o600);
  }
}

function rawContent(entry: CpioEntry): Buffer {
  if (entry.kind === 'file') return Buffer.from(entry.data as Uint8Array);
  if (entry.kind === 'link') return Buffer.from(entry.target);
  return Buffer.alloc(0);
}

function content(entry: CpioEntry): Buffer {
  return padded(rawContent(entry));
}

interface Fields {
  inode: number;
  mode: number;
  size: number;
  major: number;
  minor: number;
}

function record(name: string, fields: Fields): Buffer {
  const bytes = Buffer.from(`${name}\0`);
  const links = (fields.mode & 0o170000) === TYPE.directory ? 2 : 1;
  const columns = [
    fields.inode,
    fields.mode,
    0, // uid
    0, // gid
    links,
    0, // mtime
    fields.size,
    0, // device major
    0, // device minor
    fields.major,
    fields.minor,
    bytes.length,
    0, // checksum, unused in this variant
  ];
  const text = `070701${columns.map((value) => value.toString(16).padStart(8, '0')).join('')}`;
  return padded(Buffer.concat([Buffer.from(text), bytes]));
}

function padded(bytes: Buffer): Buffer {
  const rest = bytes.length % 4;
  return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(4 - rest)]);
}
