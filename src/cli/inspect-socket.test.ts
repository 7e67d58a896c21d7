import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { askMachine, runningMachines, runtimeFolder, serveInspection } from './inspect-socket.ts';

const before = process.env.XDG_RUNTIME_DIR;
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pi-'));
  process.env.XDG_RUNTIME_DIR = folder;
});
afterEach(() => {
  if (before === undefined) delete process.env.XDG_RUNTIME_DIR;
  else process.env.XDG_RUNTIME_DIR = before;
  rmSync(folder, { recursive: true });
});

test('a machine is listed while it is served, answers, and is gone afterwards', async () => {
  const service = serveInspection(() => ({ partitions: [1, 2] }));
  expect(await runningMachines()).toEqual([process.pid]);
  expect(await askMachine(process.pid)).toEqual({ partitions: [1, 2] });
  service.close();
  expect(await runningMachines()).toEqual([]);
});

test('nobody else may enter the folder', () => {
  expect(statSync(runtimeFolder()).mode & 0o777).toBe(0o700);
});

test('a socket whose process is gone is not listed', async () => {
  writeFileSync(join(runtimeFolder(), '999999999.sock'), '');
  expect(await runningMachines()).toEqual([]);
});

test('asking a process that runs no machine fails', async () => {
  await expect(askMachine(999999999)).rejects.toThrow();
});
