-- Of an alert of a set: what windows find it by besides its own asset and territory. Its devices, their assets, and their territories with those
-- above them.
alter table mahalla.alert add column devices uuid[] not null default '{}';
alter table mahalla.alert add column assets uuid[] not null default '{}';
alter table mahalla.alert add column territories uuid[] not null default '{}';
