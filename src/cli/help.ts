/** Texts of --help. */

export const GENERAL_HELP = `partita: a Hyper-V-compatible hypervisor in TypeScript

  partita run --kernel FILE [options]   boot a kernel in a child partition
  partita inspect [PID]                 look inside a running machine
  partita picture TRACE                 draw the memory of a machine from its trace
  partita save [PID] FILE               write a running machine to a file
  partita demo                          fetch a Debian kernel and boot it to a shell (npm start)
  partita --version

partita run --help and partita inspect --help tell more.
`;

export const RUN_HELP = `partita run: boots a kernel in a child partition

  --kernel FILE          a Linux bzImage, or an ELF file with a PVH note or a Multiboot 1 header
  --restore FILE         instead of a kernel: go on with a machine that 'partita save' wrote
  --initrd FILE          initial RAM disk
  --append TEXT          the kernel's command line
  --memory SIZE          guest memory, with K, M or G; a multiple of 2M (default 512M)
  --vps N                virtual processors, 1 to 8 (default 1)
  --numa SPEC            NUMA nodes: how many (2), their sizes (256M,256M), or host: as this machine has
  --module "FILE ARGS"   boot module with its command line; may be repeated
  --serial WHERE         where COM1 goes: stdio (default), file:PATH or none
  --trace FILE           write every hypercall, intercept, message and mapping change as JSON lines
  --timeout SECONDS      stop the machine after so long
  --json                 end with one line of JSON: the outcome and a summary

On a terminal every key goes to the guest. Ctrl-] gets partita's attention: then q quits, i prints a short
account of the machine, Ctrl-] sends itself.

Exit status: 0 when the guest powers off or resets, (v << 1) | 1 when it writes v to port 0xf4, 3 when it crashes,
124 after --timeout, 130 when quit from the keyboard or by SIGINT, 143 by SIGTERM, 2 when the command line or a
file is no good, 70 for a defect of partita.
`;

export const INSPECT_HELP = `partita inspect: looks inside a running machine of this user

  partita inspect          the machine, or a list when there are several
  partita inspect PID      the machine that process PID runs
  --json                   as JSON
  --map                    the partitions, their GPA spaces and memory pools, drawn on the terminal
  --svg FILE, --html FILE  the same as a picture
`;

export const PICTURE_HELP = `partita picture: draws what 'partita run --trace FILE' wrote

  partita picture FILE                the partitions, GPA spaces and memory pools, on the terminal
  --svg FILE                          as an SVG picture
  --html FILE                         as a page, with every deposit, draw, release and withdrawal

A partition that was finalized shows as it was before.
`;

export const SAVE_HELP = `partita save: writes a running machine of this user to a file

  partita save FILE          the only machine that runs
  partita save PID FILE      the machine that process PID runs
  --continue                 the machine runs on; without it, it ends once it is saved

  partita run --restore FILE goes on with it: memory, processors, timers and devices are as they were, and the
  machine's own time stood still in between.
`;

export const DEMO_HELP = `partita demo: boots a Debian kernel, fetched by apt-get download, to a shell on this terminal

  --flavour NAME     cloud (default), full or rt: linux-image-cloud-amd64, linux-image-amd64, linux-image-rt-amd64
  --memory SIZE      guest memory (default 512M)
  --scripted         run the fixed demonstration and power off, as when this is no terminal
  --small            boot partita's own small guest instead; needs no network
  --trace FILE       as partita run
`;
