/** Debian's cloud kernel finds the NUMA nodes that `--numa` asks for, by the SRAT and the SLIT. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commandLine, SCRIPT_DONE } from '../../src/guests/initramfs.ts';
import { debianGuest, initramfs } from './debian-guest.ts';
import { partita, workFolder } from './partita-command.ts';

const cloud = debianGuest('cloud');
const title = cloud.kind === 'ready' ? 'NUMA in Debian' : `NUMA in Debian (skipped: ${cloud.reason})`;

const folder = workFolder();
afterAll(() => folder.remove());

const SCRIPT = `dmesg | grep -E 'SRAT|SLIT|NUMA|Fake|nodes'
cd /sys/devices/system/node
for node in node*; do
  echo "$node: cpus $(cat $node/cpulist), distance $(cat $node/distance), $(awk '/MemTotal/ { print $4 }' $node/meminfo) kB"
done
echo "reaches both: $(dd if=/dev/zero of=/tmp/fill bs=1M count=150 2>&1 | grep -c 'records out')"
`;

describe.skipIf(cloud.kind === 'missing')(title, () => {
  if (cloud.kind === 'missing') return;
  const { guest } = cloud;
  let text = '';

  beforeAll(async () => {
    const initrd = initramfs(guest, 'numa', [{ kind: 'file', path: 'etc/partita/numa', data: SCRIPT }]);
    const result = await partita(
      ...['run', '--numa', '160M,96M', '--timeout', '200', '--trace', folder.path('trace.jsonl')],
      ...['--kernel', guest.kernel, '--initrd', initrd, '--append', commandLine('numa')],
    );
    text = result.stdout.replaceAll('\r', '');
  });

  test('both proximity domains, with their processor and their memory', () => {
    expect(text).toMatch(/SRAT: PXM 0 -> APIC 0x00 -> Node 0/);
    expect(text).toMatch(/SRAT: Node 0 PXM 0 \[mem 0x00000000-0x09ffffff\]/);
    expect(text).toMatch(/SRAT: Node 1 PXM 1 \[mem 0x0a000000-0x0fffffff\]/);
  });

  test('nodes with processors, distances and memory in sysfs', () => {
    expect(text).toMatch(/node0: cpus 0, distance 10 20, \d{5,} kB/);
    expect(text).toMatch(/node1: cpus , distance 20 10, \d{5} kB/);
  });

  test('partita picture draws its trace: the GPA space, the pool with its causes, the overlays', async () => {
    const drawn = await partita('picture', folder.path('trace.jsonl'));
    expect(drawn.stdout).toContain('0x00000000  160 MiB RWX in 2 MiB mappings');
    expect(drawn.stdout).toContain('0x0a000000  96 MiB RWX in 2 MiB mappings');
    expect(drawn.stdout).toContain('overlay: hypercall-page');
    expect(drawn.stdout).toMatch(/so far: deposit \d+, draw gpa-map \d+/);
    const page = folder.path('trace.html');
    expect((await partita('picture', folder.path('trace.jsonl'), '--html', page)).status).toBe(0);
    expect(readFileSync(page, 'utf8')).toContain('The pool of partition 2, movement by movement');
  });

  test('and uses the memory of both', () => {
    expect(text).toContain('reaches both: 1');
    expect(text).toContain(SCRIPT_DONE);
    expect(text).not.toMatch(/BUG:|Oops|Call Trace/);
  });
});
