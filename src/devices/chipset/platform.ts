/**
 * The machine that a guest finds, stated once: the devices take their addresses from here, the ACPI tables
 * describe it from here, and the loaders keep memory away from it. It is what a firmware-less Hyper-V
 * generation 2 machine has, plus COM1 and an exit port: no PIC, no PIT, no keyboard controller, no PCI.
 */

export interface PortRange {
  first: number;
  count: number;
}

export const COM1_PORTS: PortRange = { first: 0x3f8, count: 8 };
export const COM1_GSI = 4;

export const RTC_PORTS: PortRange = { first: 0x70, count: 2 };
export const RTC_GSI = 8;
/** CMOS byte that holds the century, as the FADT says. */
export const RTC_CENTURY_INDEX = 0x32;

/** PM1a status and enable (2 bytes each), PM1a control, and the PM timer. */
export const PM1_EVENT_PORTS: PortRange = { first: 0x400, count: 4 };
export const PM1_CONTROL_PORTS: PortRange = { first: 0x404, count: 2 };
export const PM_TIMER_PORTS: PortRange = { first: 0x408, count: 4 };
/** General-purpose events 0 to 7: a byte of status, a byte that enables. */
export const GPE0_PORTS: PortRange = { first: 0x420, count: 2 };
export const PM_TIMER_HZ = 3_579_545;
/** System control interrupt: level-triggered, active high (the MADT overrides the ISA default). */
export const SCI_GSI = 9;
/** SLP_TYP that means S5, as the DSDT's \_S5 says. */
export const SLEEP_TYPE_S5 = 5;

export const RESET_PORTS: PortRange = { first: 0xcf9, count: 1 };
/** What the FADT tells the guest to write to the reset port: full reset (hard + CPU). */
export const RESET_VALUE = 0x06;
export const KEYBOARD_CONTROLLER_PORTS: PortRange = { first: 0x64, count: 1 };

export const EXIT_PORTS: PortRange = { first: 0xf4, count: 4 };

export const LOCAL_APIC_ADDRESS = 0xfee0_0000;
export const IOAPIC_ADDRESS = 0xfec0_0000;
export const IOAPIC_SIZE = 0x1000;
export const IOAPIC_ID = 0;
export const IOAPIC_PIN_COUNT = 24;

/** Where paravirtual devices may ask for memory-mapped ranges (VMBus hands it out). */
export const VMBUS_MMIO = { first: 0xf800_0000, bytes: 0x06c0_0000 } as const;

/** Below 1 MiB: RAM ends here, and here lie the firmware's tables. */
export const LOW_MEMORY_END = 0xa_0000;
/** The 128-bit generation ID of the machine, new in each that goes on from a snapshot; and the event that tells. */
export const GENERATION_ID_GPA = 0xf_e000;
export const GENERATION_ID_BYTES = 16;
export const GENERATION_EVENT = 0;
export const FIRMWARE_TABLES = { first: 0xe_0000, bytes: 0x2_0000 } as const;
