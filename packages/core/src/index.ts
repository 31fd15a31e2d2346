/**
 * The civic engine: `createCity` assembles a city from modules and plugins; the rest is what a city is configured with.
 */
export * from "./plugin/index.ts"
export { createCity, type City } from "./engine/createCity.ts"
export { CityError, exitCodes, type CityConfig, type HostLogin } from "./engine/config.ts"
export type { As, CityAs } from "./engine/as.ts"
export type { CityAdmin } from "./engine/admin.ts"
export { masterOf } from "./kernel/personal/master.ts"
export type { KeyState, MasterState } from "./kernel/personal/keyState.ts"
export { version } from "./engine/version.ts"
export type { Module } from "./kernel/module/defineModule.ts"
export { decide, type Decision, type PolicyRequest, type Role, type Roles } from "./kernel/policy/decide.ts"
export type { Principal, RoleGrant } from "./kernel/policy/Principal.ts"
export { presetRoles, rolesOf } from "./kernel/policy/presets.ts"
export { verifyConsistency, verifyInclusion } from "./kernel/transparency-log/verify.ts"
export { type Tenant, TenantSettings } from "./kernel/tenancy/Tenant.ts"
export {
  type AlertEffect,
  type AlertOutcome,
  alertType,
  applyAlertEffects,
  controlRoom,
  createIncident,
  createWorkOrder,
  incidentType,
  linkAlerts,
  maintenanceLogOf,
  workOrderType
} from "./modules/control-room/index.ts"
export { type DecisionToFile, fileDecision, filings } from "./modules/filings/index.ts"
export { identity, issueLink, resetFactors, verified } from "./modules/identity/index.ts"
export {
  connected,
  downstream,
  importNetwork,
  type ImportReport,
  type ImportRequest,
  isolate,
  isolationOf,
  listAssets,
  loadAsset,
  nearestAsset,
  network,
  readNetwork,
  route,
  type Transform,
  transformOf,
  upstream
} from "./modules/network/index.ts"
export { linkToken, notifications } from "./modules/notifications/index.ts"
export { oauth } from "./modules/oauth/index.ts"
export { fundBudget, payouts, requestReward, type RewardRequest, unbalanced } from "./modules/payouts/index.ts"
export {
  DetectorPatience,
  type Offence,
  putOffence,
  reports,
  trafficReport,
  trafficViolation
} from "./modules/reports/index.ts"
export { raiseAlert, security, securityAlert } from "./modules/security/index.ts"
export { live } from "./modules/live/index.ts"
export { webhooks } from "./modules/webhooks/index.ts"
export { defineRule, telemetry } from "./modules/telemetry/index.ts"
export { addTerritory } from "./kernel/tenancy/territories.ts"
