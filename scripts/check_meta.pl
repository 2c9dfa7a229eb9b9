#!/usr/bin/perl
# Is META.json what PGXN's Meta Spec 1.0 (https://pgxn.org/meta/spec.txt) asks
# for, and does it say what the rest of the tree says?
#
#   scripts/check_meta.pl [DIRECTORY]    the top of the tree, or of an archive
#
# PGXN's own validators are not packaged for Debian.

use strict;
use warnings;

use JSON::PP;

my $root = $ARGV[0] // '.';
my @wrong;

my $number = qr/(?:0|[1-9][0-9]*)/;
my $version = qr/$number\.$number\.$number(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?(?:\+[0-9A-Za-z.-]+)?/;
my $range = qr/(?:(?:[=!]=|[<>]=?)\s*)?(?:$version|0)/;
my %licenses = map { $_ => 1 } qw(
  agpl_3 apache_1_1 apache_2_0 artistic_1 artistic_2 bsd freebsd gfdl_1_2 gfdl_1_3 gpl_1 gpl_2 gpl_3
  lgpl_2_1 lgpl_3_0 mit mozilla_1_0 mozilla_1_1 openssl perl_5 postgresql qpl_1_0 ssleay sun zlib
  open_source restricted unrestricted unknown);

sub slurp
{
	my ($file) = @_;

	open my $handle, '<', "$root/$file" or die "could not open $root/$file: $!\n";
	local $/;
	return scalar <$handle>;
}

#
# What a value can be: each says what is wrong with it, if anything is
#

sub matching
{
	my ($pattern) = @_;

	return sub {
		my ($value, $at) = @_;

		push @wrong, "$at is not of the form it must have" if !defined $value || ref $value || $value !~ /^(?:$pattern)$/;
	};
}

sub one_of
{
	my %values = map { $_ => 1 } @_;

	return sub {
		my ($value, $at) = @_;

		push @wrong, "$at is not one of the values that it can have" if !defined $value || ref $value || !$values{$value};
	};
}

sub list_of
{
	my ($each) = @_;

	return sub {
		my ($value, $at) = @_;

		if (ref $value eq 'ARRAY' && @$value)
		{
			$each->($value->[$_], "${at}[$_]") foreach 0 .. $#$value;
		}
		else
		{
			push @wrong, "$at is not a list with something in it";
		}
	};
}

# The keys, with what their values can be, "" for all others; then those that
# must be there.  Keys that begin with x_ are anybody's own.
sub map_of
{
	my ($keys, @required) = @_;

	return sub {
		my ($value, $at) = @_;

		if (ref $value ne 'HASH' || !%$value)
		{
			push @wrong, "$at is not a map with something in it";
			return;
		}
		exists $value->{$_} or push @wrong, "$at has no $_" foreach @required;
		foreach my $key (sort grep { !/^x_./i } keys %$value)
		{
			my $check = $keys->{$key} // $keys->{''};

			$check ? $check->($value->{$key}, "$at.$key") : push @wrong, "$at has the unknown key $key";
		}
	};
}

my $string = matching(qr/.+/s);
my $term = matching(qr{[^/\\[:space:][:cntrl:]]{2,}});
my $path = matching(qr{[^/\\][^\\]*});
my $url = matching(qr{[a-z][a-z0-9+.-]*://\S+});
my $versions = matching(qr/$range(?:\s*,\s*$range)*/);

sub either
{
	my ($scalar, $list, $map) = @_;

	return sub {
		my ($value) = @_;

		(ref $value eq 'ARRAY' ? $list : $map && ref $value eq 'HASH' ? $map : $scalar)->(@_);
	};
}

my $license = one_of(keys %licenses);
my $phase = map_of({ map { $_ => map_of({ '' => $versions }) } qw(requires recommends suggests conflicts) });
my $document = map_of(
	{
		name => $term,
		version => matching($version),
		abstract => $string,
		description => $string,
		generated_by => $string,
		maintainer => either($string, list_of($string)),
		license => either($license, list_of($license), map_of({ '' => $url })),
		provides => map_of({
				'' => map_of(
					{ file => $path, docfile => $path, version => matching($version), abstract => $string },
					qw(file version)) }),
		'meta-spec' => map_of(
			{ version => matching(qr/1\.0\.[0-9]+/), url => matching(qr{https?://pgxn\.org/meta/spec\.txt}) },
			'version'),
		tags => list_of(matching(qr{[^/\\[:cntrl:]]{2,255}})),
		no_index => map_of({ file => list_of($path), directory => list_of($path) }),
		prereqs => map_of({ map { $_ => $phase } qw(configure build test runtime develop) }),
		release_status => one_of(qw(stable testing unstable)),
		resources => map_of({
				homepage => $url,
				bugtracker => map_of({ web => $url, mailto => $string }),
				repository => map_of({ url => $url, web => $url, type => matching(qr/[a-z]+/) }) }),
	},
	qw(name version abstract maintainer license provides meta-spec));

my $meta = decode_json(slurp('META.json'));
$document->($meta, 'META.json');

#
# The same in the other places that have to say it
#

sub same
{
	my ($what, $found, $expected) = @_;

	push @wrong, "$what is " . ($found // 'not there') . ", and not $expected"
	  unless defined $found && $found eq $expected;
	return;
}

sub value_in
{
	my ($file, $pattern) = @_;

	return slurp($file) =~ $pattern ? $1 : undef;
}

unless (@wrong)
{
	my $expected = $meta->{version};
	my %controls = map { s{.*/(.*)\.control$}{$1}r => 1 } glob "$root/*.control";

	foreach my $name (sort keys %{ $meta->{provides} })
	{
		my $extension = $meta->{provides}{$name};

		delete $controls{$name} or push @wrong, "META.json provides $name, but there is no $name.control";
		same("the version of $name in META.json", $extension->{version}, $expected);
		same("the version of $name in $name.control",
			value_in("$name.control", qr/^default_version = '(.*)'$/m), $expected);
		foreach my $key (grep { exists $extension->{$_} } qw(file docfile))
		{
			push @wrong, "$extension->{$key}, $key of $name in META.json, is not there"
			  unless -f "$root/$extension->{$key}";
		}
	}
	push @wrong, "META.json does not provide $_" foreach sort keys %controls;
	same('SF_VERSION in src/shared.h', value_in('src/shared.h', qr/^#define SF_VERSION\s+"(.*)"/m), $expected);
	same('the upstream version in debian/changelog',
		value_in('debian/changelog', qr/^snowflake \((.*)-[^-]*\)/), $expected);
	same('the newest version in CHANGELOG.md', value_in('CHANGELOG.md', qr/^## (\S+)/m), $expected);
}

print "$_\n" foreach @wrong;
exit(@wrong ? 1 : 0);
