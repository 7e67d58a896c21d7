/**
 * v86 as a process like the other monitors: boots the Multiboot image named on its command line and prints what the
 * guest sends to its serial port. `node bench/v86-machine.ts IMAGE MEBIBYTES`
 */
import { readFileSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { V86 } from 'v86';

const [image, mebibytes] = process.argv.slice(2);
if (image === undefined || mebibytes === undefined) throw new Error('an image and its memory are needed');
const machine = new V86({
  wasm_path: fileURLToPath(new URL('v86.wasm', import.meta.resolve('v86'))),
  memory_size: Number(mebibytes) * 2 ** 20,
  vga_memory_size: 2 ** 21,
  multiboot: { buffer: new Uint8Array(readFileSync(image)).buffer },
  autostart: true,
  disable_keyboard: true,
  disable_mouse: true,
  disable_speaker: true,
});
machine.add_listener('serial0-output-byte', (byte: number) => {
  writeSync(1, Uint8Array.of(byte));
});
