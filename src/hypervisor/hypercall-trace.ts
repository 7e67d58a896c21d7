/** A finished hypercall as a trace event, its fields decoded by the layouts of the hypercall table. */
import type { Layout } from '../hvdef/hypercall-definition.ts';
import type { HypercallBuffer } from './hypercall-buffer.ts';
import type { HypercallRequest } from './hypercall-request.ts';
import type { TraceEvent, TraceFields, TraceValue } from './trace.ts';

/** Elements shown per call; a full page has 509. */
const ELEMENT_LIMIT = 512;

export function decodeFields(bytes: Uint8Array, base: number, layout: Layout): TraceFields {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fields: Record<string, TraceValue> = {};
  for (const field of layout.fields) {
    const at = base + field.offset;
    if (field.type === 'u64') fields[field.name] = view.getBigUint64(at, true);
    else if (field.type === 'u32') fields[field.name] = view.getUint32(at, true);
    else if (field.type === 'u16') fields[field.name] = view.getUint16(at, true);
    else if (field.type === 'u8') fields[field.name] = view.getUint8(at);
    else fields[field.name] = hex(bytes.subarray(at, at + field.size));
  }
  return fields;
}

function decodeElements(
  bytes: Uint8Array,
  base: number,
  from: number,
  to: number,
  layout: Layout,
): TraceFields[] {
  const elements: TraceFields[] = [];
  if (layout.fields.length === 0) return elements;
  for (let rep = from; rep < Math.min(to, from + ELEMENT_LIMIT); rep++) {
    elements.push(decodeFields(bytes, base + rep * layout.size, layout));
  }
  return elements;
}

/** `ran`: the handler was called, so that there are parameters to show. */
export function hypercallEvent(
  call: HypercallBuffer,
  request: HypercallRequest,
  status: string,
  ran: boolean,
): TraceEvent {
  const { definition } = call;
  const first = call.repStart;
  const asked = ran ? call.repCount : 0;
  const done = ran ? call.rep : 0;
  return {
    kind: 'hypercall',
    partition: request.caller.id,
    vp: request.callerVp,
    name: definition.name,
    code: definition.code,
    fast: (request.controlLow & 0x1_0000) !== 0,
    repStart: call.repStart,
    repCount: call.repCount,
    repsCompleted: call.rep,
    status,
    input: ran ? decodeFields(call.input, 0, definition.input) : {},
    inputElements: decodeElements(call.input, call.headerBytes, first, asked, definition.inputElement),
    output: ran ? decodeFields(call.output, 0, definition.output) : {},
    outputElements: decodeElements(
      call.output,
      call.outputHeaderBytes,
      first,
      done,
      definition.outputElement,
    ),
  };
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
