// Command keygen writes the code that encodes events in the forms with keys, from
// the one table of the keys. It is run by go generate in the folder above.
//
// It reads the table as source text, not as data, so that it also runs while the
// code that it wrote before does not compile.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "keygen:", err)
		os.Exit(1)
	}
}

// run writes the files of all forms into the folder of package format.
func run(folder string) error {
	rows, err := readTable(filepath.Join(folder, "keys.go"))
	if err != nil {
		return err
	}
	for _, f := range forms {
		text, err := f.generate(rows)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, f.file), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// row is a row of the table.
type row struct {
	key         string
	in          string // the expression of Kinds
	constructor string // text, number, ...
	field       string // f.Path: what its function returns the address of
	typ         string // ipe.Verdict: the type of the field
	has         string // ipe.HasPID: the second argument; empty if there is none or 0
	fromPolicy  bool
}

// readTable reads the variable keys of a file.
func readTable(file string) ([]row, error) {
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, file, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, decl := range parsed.Decls {
		d, ok := decl.(*ast.GenDecl)
		if !ok || d.Tok != token.VAR {
			continue
		}
		spec, ok := d.Specs[0].(*ast.ValueSpec)
		if !ok || spec.Names[0].Name != "keys" {
			continue
		}
		for _, element := range spec.Values[0].(*ast.CompositeLit).Elts {
			r, err := readRow(fset, element)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", fset.Position(element.Pos()), err)
			}
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%s has no table named keys", file)
	}
	return rows, nil
}

func readRow(fset *token.FileSet, e ast.Expr) (r row, err error) {
	text := func(n ast.Node) string {
		var b strings.Builder
		printer.Fprint(&b, fset, n) // a Builder takes everything
		return b.String()
	}
	literal, ok := e.(*ast.CompositeLit)
	if !ok {
		return r, fmt.Errorf("a row is to be a literal, not %s", text(e))
	}
	for _, e := range literal.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			return r, fmt.Errorf("a row is to name its columns, as in Name: %s", text(e))
		}
		switch text(kv.Key) {
		case "Name":
			if r.key, err = strconv.Unquote(text(kv.Value)); err != nil {
				return r, fmt.Errorf("name %s: %w", text(kv.Value), err)
			}
		case "In":
			r.in = text(kv.Value)
		case "value":
			call, ok := kv.Value.(*ast.CallExpr)
			if ok && text(call.Fun) == "fromPolicy" {
				r.fromPolicy = true
				call, ok = call.Args[0].(*ast.CallExpr)
			}
			if !ok {
				return r, fmt.Errorf("a value is to be a call, not %s", text(kv.Value))
			}
			r.constructor = text(call.Fun)
			if len(call.Args) == 0 {
				break
			}
			if err := r.readField(call.Args[0], text); err != nil {
				return r, err
			}
			if len(call.Args) > 1 && text(call.Args[1]) != "0" {
				r.has = text(call.Args[1])
			}
		}
	}
	return r, nil
}

// readField reads func(f *fields) *TYPE { return &FIELD }.
func (r *row) readField(e ast.Expr, text func(ast.Node) string) error {
	if f, ok := e.(*ast.FuncLit); ok && len(f.Body.List) == 1 && f.Type.Results != nil {
		ret, isReturn := f.Body.List[0].(*ast.ReturnStmt)
		if result, ok := f.Type.Results.List[0].Type.(*ast.StarExpr); ok && isReturn && len(ret.Results) == 1 {
			if address, ok := ret.Results[0].(*ast.UnaryExpr); ok && address.Op == token.AND {
				r.field, r.typ = text(address.X), text(result.X)
				return nil
			}
		}
	}
	return fmt.Errorf("a field is to be written as func(f *fields) *TYPE { return &f.FIELD }, not %s", text(e))
}
