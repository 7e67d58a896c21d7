/** Intercept types, access masks and descriptors (TLFS 2.0a §9.2). */

/** HV_INTERCEPT_TYPE (§9.2.1). */
export const InterceptType = { X64IoPort: 0, X64Msr: 1, X64Cpuid: 2, X64Exception: 3 } as const;
export type InterceptType = (typeof InterceptType)[keyof typeof InterceptType];

/** HV_INTERCEPT_ACCESS_TYPE_MASK (§9.2.3). */
export const InterceptAccessMask = { None: 0, Read: 1, Write: 2, Execute: 4 } as const;
export const INTERCEPT_ACCESS_MASK_ALL = 7;

/** The access flags that installing asks for, by intercept type (§9.1.1): these together, or None to remove. */
export const REQUIRED_INTERCEPT_ACCESS: Readonly<Record<InterceptType, number>> = {
  [InterceptType.X64IoPort]: InterceptAccessMask.Read | InterceptAccessMask.Write,
  [InterceptType.X64Msr]: InterceptAccessMask.Read | InterceptAccessMask.Write,
  [InterceptType.X64Cpuid]: InterceptAccessMask.Execute,
  [InterceptType.X64Exception]: InterceptAccessMask.Execute,
};

/** HV_TRANSLATE_GVA_CONTROL_FLAGS (§12.3.4). */
export const TranslateGvaFlag = {
  ValidateRead: 0x01,
  ValidateWrite: 0x02,
  ValidateExecute: 0x04,
  PrivilegeExempt: 0x08,
  SetPageTableBits: 0x10,
  TlbFlushInhibit: 0x20,
} as const;
export const TRANSLATE_GVA_FLAGS_ALL = 0x3f;

/** HV_TRANSLATE_GVA_RESULT_CODE (§12.3.4). */
export const TranslateGvaResult = {
  Success: 0,
  PageNotPresent: 1,
  PrivilegeViolation: 2,
  InvalidPageTableFlags: 3,
  GpaUnmapped: 4,
  GpaNoReadAccess: 5,
  GpaNoWriteAccess: 6,
  GpaIllegalOverlayAccess: 7,
} as const;
/** Bits of the second word of HV_TRANSLATE_GVA_RESULT. */
export const TRANSLATE_GVA_CACHE_TYPE_MASK = 0xff;
export const TRANSLATE_GVA_OVERLAY_PAGE = 0x100;

/** HV_ACCESS_GPA_RESULT_CODE (§12.3.5). */
export const AccessGpaResult = {
  Success: 0,
  Unmapped: 1,
  ReadIntercept: 2,
  WriteIntercept: 3,
  IllegalOverlayAccess: 4,
} as const;

/** HV_X64_PENDING_INTERRUPTION_TYPE (§10.3.4). */
export const PendingInterruptionType = { Interrupt: 0, Nmi: 2, Exception: 3 } as const;
