/**
 * What a jump to the firmware finds where there is no firmware: FFFF:0000, the address that systems go to for a
 * reboot "through the BIOS" (Linux: reboot=bios, and its last resort), asks the machine for a reset.
 */
import { RESET_PORTS, RESET_VALUE } from './platform.ts';

export interface FirmwareCode {
  gpa: number;
  bytes: Uint8Array;
}

export const RESET_VECTOR: FirmwareCode = {
  gpa: 0xf_fff0,
  bytes: Uint8Array.from([
    ...[0xba, RESET_PORTS.first & 0xff, RESET_PORTS.first >> 8], // mov dx, port
    ...[0xb0, RESET_VALUE], // mov al, value
    0xee, // out dx, al
    ...[0xf4, 0xeb, 0xfd], // hlt; jmp to the hlt
  ]),
};
