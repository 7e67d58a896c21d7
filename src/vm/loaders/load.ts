/** Finds out what a kernel file is and hands it to its loader. */

import type { BootImage, BootRequest } from './boot-image.ts';
import { isElf, parseElf } from './elf.ts';
import { ImageReader } from './image-reader.ts';
import { isBzImage, loadBzImage } from './linux-bzimage.ts';
import { loadMultiboot, multibootHeader } from './multiboot.ts';
import { loadPvh, pvhEntry } from './pvh.ts';

/**
 * Throws ConfigurationError for everything that cannot be booted. A Multiboot header wins over a PVH note: it
 * stands within the first 8 KiB on purpose, while a note may come with the compiler's run-time files.
 */
export function loadKernel(request: BootRequest): BootImage {
  const reader = new ImageReader(request.kernel);
  if (reader.length === 0) reader.fail('the file is empty');
  if (isBzImage(reader)) {
    if (request.modules.length > 0) {
      reader.fail('a Linux bzImage takes an initrd, not modules');
    }
    return loadBzImage(request);
  }
  const header = multibootHeader(reader);
  if (header !== undefined) return loadMultiboot(request, header);
  if (!isElf(reader)) {
    return reader.fail('no kernel: neither a Linux bzImage, nor an ELF file, nor a Multiboot image');
  }
  const elf = parseElf(reader);
  const entry = pvhEntry(reader, elf);
  if (entry !== undefined) return loadPvh(request, elf, entry);
  return reader.fail('an ELF file with neither a Multiboot header nor a PVH entry note');
}
