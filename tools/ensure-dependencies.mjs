/**
 * Brings node_modules up to the lock file, if it is not, before a script that needs it: so `npm start` and
 * `npm test` work on a fresh clone. Runs on the machine's own Node (18 or newer), because the Node that the
 * project brings along is one of the packages installed here.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Why the packages have to be installed, or undefined when they match the lock file. */
function reason() {
  const wanted = lock('package-lock.json');
  const present = lock('node_modules/.package-lock.json');
  if (present === undefined) return 'first run in this folder';
  for (const [path, entry] of Object.entries(wanted?.packages ?? {})) {
    if (path === '' || entry.link) continue;
    const installed = present.packages?.[path];
    if (!installed && entry.optional && !wantedHere(entry)) continue;
    if (installed?.version !== entry.version) return `${path} is missing or old`;
    if (installed && !existsSync(join(root, path))) return `${path} is gone`;
  }
  return undefined;
}

function lock(path) {
  const file = join(root, path);
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
}

/**
 * Whether an optional package is one for this machine. One that names no platform came with another that does, and is
 * not missed.
 */
function wantedHere(entry) {
  if (!entry.os && !entry.cpu) return false;
  if (entry.libc && !entry.libc.includes(isMusl() ? 'musl' : 'glibc')) return false;
  const names = (value, otherwise) => [value ?? otherwise].flat();
  return (
    names(entry.os, process.platform).includes(process.platform) &&
    names(entry.cpu, process.arch).includes(process.arch)
  );
}

function isMusl() {
  return process.platform === 'linux' && process.report?.getReport().header.glibcVersionRuntime === undefined;
}

const why = reason();
if (why !== undefined) {
  console.log(`partita: installing the packages of package-lock.json (${why}) ...`);
  const started = Date.now();
  const npm = process.env.npm_execpath;
  // Not `npm ci`: that one fails when the lock file, made on one platform, leaves out another's optional packages.
  const parameters = ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'];
  const result = npm?.endsWith('.js')
    ? spawnSync(process.execPath, [npm, ...parameters], { cwd: root, stdio: 'inherit' })
    : spawnSync('npm', parameters, { cwd: root, stdio: 'inherit', shell: process.platform === 'win32' });
  if (result.status !== 0) {
    console.error('partita: npm install failed; is the package registry reachable?');
    process.exit(1);
  }
  console.log(`partita: installed in ${((Date.now() - started) / 1000).toFixed(1)} s`);
}
