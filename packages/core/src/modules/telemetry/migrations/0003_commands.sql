-- What devices are asked to do, and what a Sparkplug edge node's births have said.

create table mahalla.device_command (
  tenant_id uuid not null,
  id uuid not null,
  device_id uuid not null,
  method text not null,
  params jsonb not null,
  state text not null default 'queued' check (state in ('queued', 'sent', 'delivered', 'answered', 'failed', 'expired')),
  answer jsonb,
  message text,
  created_by uuid,
  created_at timestamptz not null,
  changed_at timestamptz not null,
  expires_at timestamptz not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, device_id) references mahalla.device (tenant_id, id)
);
create index device_command_open on mahalla.device_command (expires_at) where state in ('queued', 'sent', 'delivered');
-- What is heard of a command names it alone.
create index device_command_id on mahalla.device_command (id);
create index device_command_of_device on mahalla.device_command (tenant_id, device_id, id);
select mahalla.protect('mahalla.device_command', 'select, insert, update');

create table mahalla.edge_node (
  tenant_id uuid not null,
  device_id uuid not null,
  state jsonb not null,
  primary key (tenant_id, device_id),
  foreign key (tenant_id, device_id) references mahalla.device (tenant_id, id) on delete cascade
);
select mahalla.protect('mahalla.edge_node', 'select, insert, update');
