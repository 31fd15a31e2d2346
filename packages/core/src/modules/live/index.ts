/**
 * One WebSocket for everything that a live screen shows: readings where the city has telemetry, and events of cases, each subscription with filters
 * of its own. Add it where screens watch several things at once; `GET /v1/events` and `GET /v1/readings/live` are there without it. It needs
 * `city.node.upgrade`.
 */
import { defineModule, type Module } from "../../kernel/module/defineModule.ts"
import { openMount, openUpgrade, takes } from "./upgrade.ts"

export const live = (): Module =>
  defineModule({ id: "live", mount: { takes, open: openMount }, upgrade: { takes, open: openUpgrade } })
