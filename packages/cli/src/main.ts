#!/usr/bin/env node
/** The `mahalla` command. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { version } from "@mahalla/core"
import * as Effect from "effect/Effect"
import * as Command from "effect/cli/Command"
import { adminLink } from "./commands/adminLink.ts"
import { audit } from "./commands/audit.ts"
import { demo } from "./commands/demo.ts"
import { dev } from "./commands/dev.ts"
import { doctor } from "./commands/doctor.ts"
import { edge } from "./commands/edge.ts"
import { init } from "./commands/init.ts"
import { key } from "./commands/key.ts"
import { migrate } from "./commands/migrate.ts"
import { network } from "./commands/network.ts"
import { platformBlock } from "./commands/platformBlock.ts"
import { platformLink } from "./commands/platformLink.ts"
import { simulate } from "./commands/simulate.ts"
import { root } from "./root.ts"
import { reportFailure } from "./failure.ts"

// Signals are the commands' own matter: a server drains on them.
const program = root.pipe(
  Command.withSubcommands([
    init,
    dev,
    migrate,
    doctor,
    demo,
    adminLink,
    platformLink,
    platformBlock,
    audit,
    key,
    network,
    edge,
    simulate
  ]),
  Command.run({ version }),
  Effect.provide(NodeServices.layer)
)
process.exitCode = await Effect.runPromise(
  Effect.matchCauseEffect(program, { onSuccess: () => Effect.succeed(0), onFailure: reportFailure })
)
