/**
 * Builds a start image: a V8 startup snapshot of the command, from which Node starts in a fraction of the time that
 * loading and evaluating some two hundred modules takes (docs/decisions/start-image.md).
 *
 *   node build.ts IMAGE
 *
 * Started in the background by request.ts, at the lowest priority. The image appears under its name when it is whole,
 * dated at the start of the build: sources that change while it is built make it old.
 */
import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { setPriority } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { rolldown } from 'rolldown';
import { BUILDING, LONGEST_BUILD_MS } from './request.ts';

/** The text of functions is in the image: without comments and spaces, with the names they have. */
const SMALL = { compress: false, mangle: false, codegen: true } as const;
const LOWEST_PRIORITY = 19;

async function build(image: string): Promise<void> {
  const started = new Date();
  mkdirSync(dirname(image), { recursive: true, mode: 0o700 });
  const folder = mkdtempSync(`${image}${BUILDING}`);
  try {
    const script = join(folder, 'partita.cjs');
    writeFileSync(script, imageScript(await bundle(join(import.meta.dirname, 'entry.ts'))));
    const built = join(folder, 'image');
    const parameters = ['--snapshot-blob', built, '--build-snapshot', script];
    const { status, stderr } = spawnSync(process.execPath, ['--no-warnings', ...parameters], {
      encoding: 'utf8',
    });
    process.stderr.write(stderr);
    if (status !== 0) throw new Error(`node --build-snapshot ended with ${status}`);
    utimesSync(built, started, started);
    renameSync(built, image);
    removeOld(image, started.getTime());
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Images of earlier boots, and what builders that were killed have left. Another may be at work beside this one. */
function removeOld(image: string, started: number): void {
  for (const name of readdirSync(dirname(image))) {
    const path = join(dirname(image), name);
    const changed = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? started;
    const isOld = name.includes(BUILDING) ? changed < started - LONGEST_BUILD_MS : path !== image;
    if (isOld) rmSync(path, { recursive: true, force: true });
  }
}

/** A rehearsal that fails costs speed and nothing else. */
function imageScript(bundled: string): string {
  return `
const load = (module) => { (function (module, exports) {
${bundled}
})(module, module.exports); return module.exports; };
let kept;
require('node:v8').startupSnapshot.setDeserializeMainFunction(() => kept.start());
load({ exports: {} })
  .rehearse()
  .catch((error) => console.error('the rehearsal failed:', error))
  .then(() => { kept = load({ exports: {} }); kept.prepare(); });
`;
}

/** One script without imports but of Node's own; `import.meta` stays what it is in the source. */
async function bundle(entry: string): Promise<string> {
  const bundler = await rolldown({
    input: entry,
    platform: 'node',
    external: /^node:/,
    plugins: [
      {
        name: 'import-meta',
        transform: (code, id) => ({
          code: code
            .replaceAll('import.meta.url', JSON.stringify(pathToFileURL(id).href))
            .replaceAll('import.meta.dirname', JSON.stringify(dirname(id))),
        }),
      },
    ],
  });
  const { output } = await bundler.generate({ format: 'cjs', codeSplitting: false, minify: SMALL });
  await bundler.close();
  return output[0].code;
}

const [image] = process.argv.slice(2);
if (image === undefined) throw new Error('build.ts IMAGE');
setPriority(LOWEST_PRIORITY);
await build(image);
