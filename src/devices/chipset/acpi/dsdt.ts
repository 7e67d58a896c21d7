/**
 * The devices that cannot be discovered: COM1, the clock, the generation ID of the machine (with the names that
 * Microsoft's paper "Virtual Machine Generation ID" asks for: the system reads 16 bytes at ADDR when it starts and
 * whenever the device is notified, and finds out whether it is a copy), and VMBus below a module that owns the memory window
 * it may hand out (as on a Hyper-V generation 2 machine). ACPI 6.4 §5.2.11.1.
 */
import {
  COM1_GSI,
  COM1_PORTS,
  GENERATION_EVENT,
  GENERATION_ID_GPA,
  RTC_GSI,
  RTC_PORTS,
  SLEEP_TYPE_S5,
  VMBUS_MMIO,
} from '../platform.ts';
import {
  type Aml,
  device,
  eisaId,
  integer,
  method,
  name,
  notify,
  packageOf,
  resource,
  resources,
  returnOf,
  scope,
  string,
} from './aml.ts';

/** The first value that means what the device says it means. */
const DEVICE_CHANGED = 0x80;
const STATUS_PRESENT_AND_WORKING = 0x0f;

const softOff = name(
  '\\_S5',
  packageOf(integer(SLEEP_TYPE_S5), integer(SLEEP_TYPE_S5), integer(0), integer(0)),
);

const serialPort = device(
  'COM1',
  name('_HID', eisaId('PNP0501')),
  name('_UID', integer(1)),
  name(
    '_CRS',
    resources(resource.ports(COM1_PORTS.first, COM1_PORTS.count), resource.isaInterrupt(COM1_GSI)),
  ),
);

const realTimeClock = device(
  'RTC0',
  name('_HID', eisaId('PNP0B00')),
  name('_UID', integer(0)),
  name('_CRS', resources(resource.ports(RTC_PORTS.first, RTC_PORTS.count), resource.isaInterrupt(RTC_GSI))),
);

const vmbus = device(
  'VMBS',
  name('_HID', string('VMBus')),
  name('_DDN', string('VMBUS')),
  name('_UID', integer(0)),
  method('_STA', returnOf(integer(STATUS_PRESENT_AND_WORKING))),
  name('_CRS', resources()),
);

const memoryModule = device(
  'VMOD',
  name('_HID', string('ACPI0004')),
  name('_UID', integer(0)),
  name('_CRS', resources(resource.producedMemory(VMBUS_MMIO.first, VMBUS_MMIO.bytes))),
  vmbus,
);

const generationId = device(
  'VGEN',
  name('_HID', string('Hyper_V_Gen_Counter_V1')),
  name('_CID', string('VM_Gen_Counter')),
  name('_DDN', string('VM_Gen_Counter')),
  name('_UID', integer(0)),
  // Low and high half of the address.
  name('ADDR', packageOf(integer(GENERATION_ID_GPA), integer(0))),
);

/** An edge-triggered event's method clears nothing: the system has cleared the status before (§5.6.4.1). */
const generalEvents = scope(
  '\\_GPE',
  method(`_E${hexByte(GENERATION_EVENT)}`, notify('\\_SB.VGEN', DEVICE_CHANGED)),
);

function hexByte(value: number): string {
  return value.toString(16).toUpperCase().padStart(2, '0');
}

export const DSDT_BODY: Aml = [
  ...softOff,
  ...scope('\\_SB', memoryModule, serialPort, realTimeClock, generationId),
  ...generalEvents,
];
