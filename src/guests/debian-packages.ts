/**
 * Debian packages for guests, fetched through apt without root: apt gets state and cache folders of our own, an
 * empty list of installed packages and the architecture amd64, and keeps the machine's sources and keys. So the
 * result depends neither on what this machine has installed nor on a previous `apt-get update`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** One line of progress for a person to read. */
export type Progress = (line: string) => void;

/** How long a package index counts as fresh. */
const INDEX_LIFETIME_MS = 24 * 3600 * 1000;

/** apt or dpkg-deb is missing, or could not do what we asked of it. */
export class PackageError extends Error {
  readonly kind: 'apt-missing' | 'apt-failed';

  constructor(kind: 'apt-missing' | 'apt-failed', message: string) {
    super(message);
    this.name = 'PackageError';
    this.kind = kind;
  }
}

export interface DebianPackages {
  /** The package that meta package `name` depends on and whose name starts with `prefix`. */
  resolve(name: string, prefix: string): string;
  /** `names` and every package that they depend on, and so on. */
  closure(names: readonly string[]): string[];
  /** Downloads `name` and unpacks it into `folder`. */
  unpack(name: string, folder: string): void;
}

/** Opens the archive with its index under `folder`, refreshing the index where it is old. */
export function openDebianPackages(folder: string, progress: Progress): DebianPackages {
  for (const tool of ['apt-get', 'apt-cache', 'dpkg-deb']) {
    if (spawnSync(tool, ['--version'], { stdio: 'ignore' }).error) {
      throw new PackageError('apt-missing', `${tool} is not installed here`);
    }
  }
  const options = aptOptions(folder);
  refreshIndex(folder, options, progress);
  // An index that led to a failure is read anew next time: apt-get update succeeds without a network, and Debian
  // removes packages that it has replaced.
  const trusting = <T>(action: () => T): T => {
    try {
      return action();
    } catch (error) {
      rmSync(indexStamp(folder), { force: true });
      throw error;
    }
  };

  return {
    resolve(name, prefix) {
      const text = trusting(() => run('apt-cache', [...options, 'show', '--no-all-versions', name]));
      const depends = /^Depends: (.*)$/m.exec(text)?.[1] ?? '';
      const found = depends
        .split(',')
        .map((part) => part.trim().split(/[\s(|:]/)[0])
        .find((part) => part.startsWith(prefix));
      if (found === undefined)
        throw new PackageError('apt-failed', `${name} depends on no ${prefix}* package`);
      return found;
    },
    closure(names) {
      const only = ['recommends', 'suggests', 'conflicts', 'breaks', 'replaces', 'enhances'].map(
        (kind) => `--no-${kind}`,
      );
      const text = run('apt-cache', [...options, 'depends', '--recurse', ...only, ...names]);
      // A package's line starts at the margin; virtual packages stand in angle brackets.
      return text.split('\n').filter((line) => /^[a-z0-9]/.test(line) && !line.includes(':'));
    },
    unpack(name, target) {
      trusting(() => unpackPackage(name, join(folder, 'packages'), target, options, progress));
    },
  };
}

function aptOptions(folder: string): string[] {
  const state = join(folder, 'state');
  const cache = join(folder, 'cache');
  mkdirSync(join(state, 'lists/partial'), { recursive: true });
  mkdirSync(join(cache, 'archives/partial'), { recursive: true });
  const status = join(folder, 'status');
  if (!existsSync(status)) writeFileSync(status, '');
  const settings = [
    `Dir::State=${state}`,
    `Dir::State::status=${status}`,
    `Dir::Cache=${cache}`,
    'APT::Architecture=amd64',
    'APT::Architectures=amd64',
    'Acquire::Languages=none',
    // As root apt would drop to a user who may not read this folder.
    'APT::Sandbox::User=root',
  ];
  return settings.flatMap((setting) => ['-o', setting]);
}

function indexStamp(folder: string): string {
  return join(folder, 'updated');
}

function refreshIndex(folder: string, options: readonly string[], progress: Progress): void {
  const stamp = indexStamp(folder);
  if (existsSync(stamp) && Date.now() - statSync(stamp).mtimeMs < INDEX_LIFETIME_MS) return;
  progress("reading Debian's package index");
  run('apt-get', [...options, '-q', 'update']);
  writeFileSync(stamp, '');
}

function unpackPackage(
  name: string,
  packages: string,
  target: string,
  options: readonly string[],
  progress: Progress,
): void {
  mkdirSync(packages, { recursive: true });
  const isPackage = (file: string): boolean => file.startsWith(`${name}_`) && file.endsWith('.deb');
  let file = readdirSync(packages).find(isPackage);
  if (file === undefined) {
    progress(`downloading ${name}`);
    const incoming = join(packages, `incoming-${process.pid}`);
    mkdirSync(incoming, { recursive: true });
    try {
      run('apt-get', [...options, '-q', 'download', name], incoming);
      file = readdirSync(incoming).find(isPackage);
      if (file === undefined)
        throw new PackageError('apt-failed', `apt-get download ${name} left no package behind`);
      renameSync(join(incoming, file), join(packages, file));
    } finally {
      rmSync(incoming, { recursive: true, force: true });
    }
  }
  progress(`unpacking ${name}`);
  mkdirSync(target, { recursive: true });
  run('dpkg-deb', ['--extract', join(packages, file), target]);
}

function run(program: string, parameters: readonly string[], cwd?: string): string {
  const result = spawnSync(program, parameters, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: { ...process.env, LC_ALL: 'C' },
  });
  if (result.error)
    throw new PackageError('apt-missing', `${program} could not be started: ${result.error.message}`);
  if (result.status !== 0) {
    const reason = `${result.stderr}\n${result.stdout}`.trim().split('\n').slice(-3).join(' / ');
    throw new PackageError('apt-failed', `${program} failed: ${reason}`);
  }
  return result.stdout;
}
