-- Whether a register of people confirms that somebody is who they say.

create table mahalla.identity_check (
  tenant_id uuid not null,
  -- The register knows the question by it; the same one however often it is asked.
  id uuid not null,
  principal_id uuid not null,
  -- Instance of the register.
  register text not null,
  -- What the person agreed to: the version of the text that they were shown.
  consent text not null,
  state text not null check (state in ('waiting', 'confirmed', 'not-confirmed', 'no-answer', 'revoked')),
  reason text check (reason in ('no-match', 'not-valid', 'not-usable', 'used-elsewhere')),
  assurance text check (assurance in ('low', 'substantial', 'high')),
  -- What the person claims, sealed; gone with the answer.
  claims text,
  -- Blind indexes of the number and of the register's name of the person, which is sealed beside it; gone unless it was confirmed.
  number_index text,
  reference text,
  reference_index text,
  asked_at timestamptz not null,
  settled_at timestamptz,
  primary key (tenant_id, id),
  check ((state = 'waiting') = (claims is not null)),
  check ((state = 'waiting') = (settled_at is null)),
  check ((state = 'not-confirmed') = (reason is not null)),
  check ((state = 'confirmed') = (reference is not null)),
  check ((reference is null) = (reference_index is null)),
  check ((state in ('waiting', 'confirmed')) = (number_index is not null)),
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id) on delete cascade
);
create index identity_check_of_principal on mahalla.identity_check (tenant_id, principal_id, id desc);
-- One question of a person at a time.
create unique index identity_check_waiting on mahalla.identity_check (tenant_id, principal_id) where state = 'waiting';
-- A number, and whom a register knows by several of them, confirm one account.
create unique index identity_check_number on mahalla.identity_check (tenant_id, register, number_index) where state = 'confirmed';
create unique index identity_check_reference on mahalla.identity_check (tenant_id, register, reference_index) where state = 'confirmed';
select mahalla.protect('mahalla.identity_check', 'select, insert, update');
