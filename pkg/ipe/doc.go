// Package ipe decodes the audit records of Integrity Policy Enforcement.
package ipe
