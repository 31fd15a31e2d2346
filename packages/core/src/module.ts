/**
 * What a module author needs beside the plugin contract: case types, events, jobs, consumers, transactions, doors. It carries http-api and sql,
 * so it follows Effect's minor releases.
 */
export {
  defineModule,
  type Module,
  type ModuleApi,
  type ModuleMount,
  type ModuleUpgrade,
  type MountFacts,
  type Schedule
} from "./kernel/module/defineModule.ts"
export {
  type Apply,
  type ApplyResult,
  type ApplyTogether,
  type CaseType,
  type CaseTypeDefinition,
  type DeadlineDefinition,
  defineCaseType,
  type FieldSchema,
  type Guard,
  type Notice,
  type NoticeOf,
  type TransitionContext,
  type TransitionDefinition
} from "./kernel/cases/CaseType.ts"
export { createCase, type CreateCase } from "./kernel/cases/create.ts"
export { type CaseFilter, listCases } from "./kernel/cases/list.ts"
export { type CaseRecord, InvalidInput, NotFound, Refused, VersionConflict, WrongState } from "./kernel/cases/model.ts"
export { loadCase } from "./kernel/cases/record.ts"
export { type TransitionRequest, transitionCase } from "./kernel/cases/transition.ts"
export { type SharedTransition, transitionTogether } from "./kernel/cases/transitionTogether.ts"
export { Attachments } from "./kernel/attachments/Attachments.ts"
export { afterCommit, Database, TenantTx, withTenant } from "./kernel/db/Database.ts"
export { type Migration, migration, readMigration } from "./kernel/db/Migration.ts"
export type { Consumer } from "./kernel/events/Consumer.ts"
export { defineEvent, type EventType, type StoredEvent } from "./kernel/events/Event.ts"
export { appendEvent } from "./kernel/events/append.ts"
export { enqueue, type NewJob } from "./kernel/jobs/enqueue.ts"
export { defineJob, type JobDefinition, JobFailure, type JobInfo } from "./kernel/jobs/Job.ts"
export { cityApi } from "./kernel/http/cityApi.ts"
export { answering, Door, inTenant, RequestInfo } from "./kernel/http/Door.ts"
export { problem, registerProblems } from "./kernel/http/problems.ts"
export { Id, newId } from "./kernel/ids.ts"
export { takeFrom, TooManyRequests } from "./kernel/limits/gcra.ts"
export { demand, Forbidden, may } from "./kernel/policy/Policy.ts"
export type { PersonPart } from "./kernel/personal/PersonPart.ts"
export type { RetentionRule } from "./kernel/personal/Retention.ts"
export { again, type ResealReader, sealedPart, type SealedPart } from "./kernel/personal/SealedPart.ts"
export { prefixOf } from "./kernel/personal/crypt.ts"
export { type SealedColumn, sealedColumn } from "./kernel/personal/Vault.ts"
export { Actor, type Principal, system } from "./kernel/policy/Principal.ts"
export { Authorities, IdentityRegisters, Messengers, PaymentRails } from "./kernel/ports.ts"
